// The states' marks, drawn: a shape of its own for each, alike on every machine (fonts and emoji are not).
import { attribute, h, svg } from './dom';
import type { State } from './api';

const FILLED = { fill: 'currentColor' };
const LINE = { fill: 'none', stroke: 'currentColor', 'stroke-width': 2, 'stroke-linecap': 'round', 'stroke-linejoin': 'round' };

/** In a box of 16 by 16. */
const SHAPES: Record<State, () => SVGElement[]> = {
  alive: () => [svg('circle', { cx: 8, cy: 8, r: 4.5, ...FILLED })],
  silent: () => [svg('circle', { cx: 8, cy: 8, r: 5, ...LINE }), svg('path', { d: 'M8 3a5 5 0 0 0 0 10z', ...FILLED })],
  suspended: () => [svg('path', { d: 'M5.5 3v10M10.5 3v10', ...LINE, 'stroke-width': 2.6 })],
  dead: () => [svg('path', { d: 'M3.5 3.5l9 9M12.5 3.5l-9 9', ...LINE, 'stroke-width': 2.8 })],
  unknown: () => [svg('path', { d: 'M5 5.6a3 3 0 1 1 4.4 2.6C8.4 8.8 8 9.2 8 10.2', ...LINE }), svg('circle', { cx: 8, cy: 13.2, r: 1.3, ...FILLED })],
  unseen: () => [svg('circle', { cx: 8, cy: 8, r: 4.5, ...LINE })],
  finished: () => [svg('rect', { x: 3.5, y: 3.5, width: 9, height: 9, rx: 1, ...FILLED })],
  paused: () => [svg('path', { d: 'M5 3.2l7.5 4.8L5 12.8z', ...LINE })],
  blind: () => [svg('circle', { cx: 8, cy: 8, r: 5, ...LINE, 'stroke-dasharray': '2.6 2.64', 'stroke-linecap': 'butt' })],
  failed: () => [svg('path', { d: 'M8 2.5L14 13H2z', ...FILLED, stroke: 'currentColor', 'stroke-width': 1, 'stroke-linejoin': 'round' })],
};

/** Once a page: the shapes that `mark` refers to. */
export function shapes(): SVGSVGElement {
  const symbols = Object.entries(SHAPES).map(([state, draw]) => svg('symbol', { id: `mark-${state}`, viewBox: '0 0 16 16' }, ...draw()));
  return svg('svg', { class: 'sprite', 'aria-hidden': 'true', width: 0, height: 0 }, ...symbols);
}

/** The mark alone; decoration, for the word stands beside it. */
export function mark(state: State): SVGSVGElement {
  return svg('svg', { class: 'mark', 'aria-hidden': 'true', viewBox: '0 0 16 16' }, svg('use', { href: `#mark-${state}` }));
}

/** Makes a mark another state's. */
export function remark(drawn: SVGSVGElement, state: State): void {
  if (drawn.firstElementChild) attribute(drawn.firstElementChild, 'href', `#mark-${state}`);
}

/** Colour, shape and word. */
export function badge(state: State): HTMLSpanElement {
  return h('span', { class: 'badge', 'data-state': state }, mark(state), state);
}

/** The mark as a picture of its own, for the tab. */
export function picture(state: State, colour: string): string {
  const drawn = svg('svg', { xmlns: 'http://www.w3.org/2000/svg', viewBox: '0 0 16 16', color: colour }, ...SHAPES[state]());
  return `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(drawn))}`;
}
