// Light or dark: as the system has it, unless the reader chose. The choice is kept in this browser.
import { attribute, h, svg } from './dom';
import { Signal } from './signal';

type Theme = 'light' | 'dark';
const KEY = 'lastbeat.theme';
const system = matchMedia('(prefers-color-scheme: dark)');

/** Canvases listen: they don't follow the style sheet by themselves. */
export const themed = new Signal<Theme>();

function chosen(): Theme | null {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'light' || kept === 'dark' ? kept : null;
  } catch {
    return null; // No storage is allowed here: then as the system has it.
  }
}

export const theme = (): Theme => chosen() ?? (system.matches ? 'dark' : 'light');

/** Sets what was chosen before. */
export function apply(): void {
  attribute(document.documentElement, 'data-theme', theme());
  themed.emit(theme());
}

export function toggle(): HTMLButtonElement {
  const half = svg('svg', { viewBox: '0 0 16 16', class: 'mark', 'aria-hidden': 'true' },
    svg('circle', { cx: 8, cy: 8, r: 5.5, fill: 'none', stroke: 'currentColor', 'stroke-width': 1.6 }),
    svg('path', { d: 'M8 2.5a5.5 5.5 0 0 1 0 11z', fill: 'currentColor' }));
  const button = h('button', { class: 'icon-button', type: 'button' }, half);
  const name = (): void => {
    const other = theme() === 'dark' ? 'light' : 'dark';
    attribute(button, 'aria-label', `Switch to ${other} colours`);
    attribute(button, 'title', `Switch to ${other} colours`);
  };
  button.addEventListener('click', () => {
    const next: Theme = theme() === 'dark' ? 'light' : 'dark';
    try {
      if ((next === 'dark') === system.matches) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, next);
    } catch {
      // It holds until the page is left.
    }
    attribute(document.documentElement, 'data-theme', next);
    themed.emit(next);
    name();
  });
  system.addEventListener('change', () => {
    apply();
    name();
  });
  name();
  return button;
}
