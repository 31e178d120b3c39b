// One field's place on the page: its name, its latest value, its chart when it is in sight.
import type { Field, Readings } from '../api';
import { attribute, h, text } from '../dom';
import { clock, day, value } from '../format';
import type { Chart } from './chart';
import { extent, lines } from './gaps';

export class Box {
  readonly root = h('figure', { class: 'chart' });
  /** For which state of the range it has data; −1 for none. */
  drawn = -1;
  /** In sight, or about to be. */
  near = false;
  private readonly latest = h('b', {});
  private readonly stats = h('span', { class: 'stats' });
  private readonly plot = h('div', { class: 'plot', role: 'img' });
  private chart: Chart | null = null;
  private summary = '';

  constructor(readonly field: Field, private readonly zoom: (from: number, to: number) => void, private readonly reset: () => void) {
    this.root.append(h('figcaption', {}, h('span', { class: 'name', title: field.name }, field.name), this.latest, this.stats), this.plot);
    attribute(this.plot, 'aria-label', `${field.name}: not loaded yet`);
  }

  show(field: Field): void {
    text(this.latest, value(field.latest));
  }

  async draw(readings: Readings, generation: number): Promise<void> {
    const series = readings.fields[this.field.name] ?? { type: this.field.type, values: [] };
    const data = lines(readings.time, series), boolean = this.field.type === 'boolean';
    const range: [number, number] = [Date.parse(readings.from) / 1000, Date.parse(readings.to) / 1000];
    const { Chart } = await import('./chart');
    if (!this.near) return;
    this.drawn = generation;
    const told = (v: number): string => (boolean && (v === 0 || v === 1) ? String(v === 1) : value(v));
    const all = extent(data);
    this.summary = all ? (boolean ? '' : `min ${told(all.min)} · max ${told(all.max)}`) : 'nothing in this range';
    attribute(this.plot, 'aria-label', all ? `${this.field.name}: latest ${told(all.latest)}, min ${told(all.min)}, max ${told(all.max)} in the range shown` : `${this.field.name}: nothing in the range shown`);
    this.rest();
    if (this.chart?.fits(data)) return this.chart.set(data, range);
    this.chart?.destroy();
    this.chart = new Chart(this.plot, data, range, {
      boolean, zoom: this.zoom, reset: this.reset,
      point: (at) => {
        const [mean, min, max] = at?.values ?? [];
        if (!at || mean === null || mean === undefined) return this.rest();
        const when = new Date(at.time * 1000);
        const band = min !== undefined && max !== undefined && min !== null && max !== null ? ` (${told(min)} … ${told(max)})` : '';
        const date = when.toDateString() === new Date().toDateString() ? '' : `${day(when, new Date())} `;
        this.readout(`${date}${clock(when)}  ${boolean && min === undefined ? told(mean) : value(mean)}${band}`);
      },
    });
  }

  /** Gives the canvas back; it is drawn anew when it comes into sight again. */
  drop(): void {
    this.drawn = -1;
    this.chart?.destroy();
    this.chart = null;
  }

  private rest(): void {
    text(this.stats, this.summary);
    this.stats.classList.remove('pointed');
  }

  private readout(what: string): void {
    text(this.stats, what);
    this.stats.classList.add('pointed');
  }
}
