// One line about the watchdog itself, as long as all is well with it; trouble stands in the notices above.
import type { Figures } from '../api';
import { h } from '../dom';
import { bytes, count, rate, trip } from '../format';

const shown = new WeakMap<Element, string>();

export function vitals(root: HTMLElement, figures: Figures): void {
  const { totals } = figures;
  const parts: [string, ('up' | 'down' | 'minor')?][] = [[`${rate(figures.rate)} messages/s`], [`${count(totals.messages)} in all`, 'minor']];
  for (const [n, what] of [[totals.refused, 'unreadable'], [totals.duplicates, 'duplicates'], [totals.unknown, 'beyond the most publishers']] as const) {
    if (n) parts.push([`${count(n)} ${what}`]);
  }
  for (const link of figures.links) {
    const there = link.up && link.round_trip_s !== null ? `, there and back ${trip(link.round_trip_s * 1000)}` : '';
    parts.push([`${link.name} ${link.up ? 'up' : 'down'}${there}`, link.up ? 'up' : 'down']);
  }
  for (const one of figures.followers) {
    const behind = one.held ? `stands by: ${one.held}` : one.behind_bytes > 0 ? `${bytes(one.behind_bytes)} behind` : 'up to date';
    parts.push([`${one.name} ${one.trouble === null ? behind : 'in trouble'}${one.set_aside ? `, ${one.set_aside} set aside` : ''}`, one.trouble === null ? 'up' : 'down']);
  }
  const text = JSON.stringify(parts);
  if (shown.get(root) === text) return;
  shown.set(root, text);
  root.replaceChildren(...parts.flatMap(([part, health]) => [
    h('span', health === 'minor' ? { 'data-minor': true } : { 'data-health': health }, part), ' ',
  ]));
}
