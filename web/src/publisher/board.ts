// The charts: one a field, one range of time for all of them, data only for those in sight.
import { Refused, address, readings } from '../api';
import type { Field } from '../api';
import { attribute, framed, h, text } from '../dom';
import { day, moment, span } from '../format';
import { Box } from './box';
import { SPANS } from './range';
import type { Range } from './range';

const POINTS = 600;
/** While the range ends now it is fetched anew after this share of it, within these bounds. */
const SHARE = 1 / 300, SOONEST_MS = 3_000, LATEST_MS = 60_000;
/** Of one request, so that its address stays short. */
const MOST_FIELDS = 24;

export class Board {
  readonly root = h('section', { class: 'board', 'aria-labelledby': 'board-head' });
  private readonly boxes = new Map<string, Box>();
  private readonly grid = h('div', { class: 'charts' });
  private readonly spans = h('div', { class: 'segments', role: 'group', 'aria-label': 'Range of time' });
  private readonly zoomed = h('p', { class: 'zoomed' });
  private readonly told = h('p', { class: 'said', role: 'status' });
  private readonly exports = h('p', { class: 'exports' });
  private readonly seen: IntersectionObserver;
  private readonly ask = framed(() => void this.fetch());
  private readonly unlisten: () => void;
  private generation = 0;
  private asking: AbortController | null = null;
  private fetchedAt = 0;
  private fetchedMessages = -1;

  constructor(private readonly id: string, private readonly range: Range, private readonly signal: AbortSignal) {
    for (const [key, name] of SPANS) this.spans.append(h('button', { type: 'button', 'data-span': key, onclick: () => range.choose(key) }, name));
    this.root.append(h('div', { class: 'board-bar' }, h('h2', { id: 'board-head' }, 'Readings'), this.spans, this.zoomed), this.told, this.grid, this.exports);
    this.seen = new IntersectionObserver((entries) => this.sight(entries), { rootMargin: '300px 0px' });
    this.unlisten = range.changed.listen(() => this.ranged());
    this.head();
  }

  destroy(): void {
    this.seen.disconnect();
    this.ask.cancel();
    this.unlisten();
    this.asking?.abort();
    for (const box of this.boxes.values()) box.drop();
  }

  /** The fields as they are known now; `messages` tells whether there may be something new. */
  show(fields: readonly Field[], messages: number, readings: number, live: boolean): void {
    const charted = fields.filter((field) => field.type !== 'text');
    const before = this.boxes.size;
    for (const field of charted) {
      let box = this.boxes.get(field.name);
      if (!box) {
        box = new Box(field, (from, to) => this.range.into({ from, to }), () => this.range.into(null));
        this.boxes.set(field.name, box);
        this.grid.append(box.root);
        this.seen.observe(box.root);
      }
      box.show(field);
    }
    if (this.boxes.size !== before) this.head();
    if (!charted.length) text(this.told, nothing(fields.length, readings));
    const due = Math.min(LATEST_MS, Math.max(SOONEST_MS, this.range.seconds() * SHARE * 1000));
    if (live && !this.range.zoom && !document.hidden && messages !== this.fetchedMessages && performance.now() - this.fetchedAt > due && !this.asking) {
      this.fetchedMessages = messages;
      this.generation += 1;
      this.ask();
    }
  }

  private ranged(): void {
    this.generation += 1;
    this.asking?.abort();
    this.asking = null;
    this.head();
    this.ask();
  }

  private head(): void {
    const { zoom } = this.range;
    for (const button of this.spans.children) attribute(button, 'aria-pressed', String(!zoom && button.getAttribute('data-span') === this.range.span));
    this.zoomed.hidden = !zoom;
    if (zoom) {
      const from = new Date(zoom.from * 1000), to = new Date(zoom.to * 1000), now = new Date();
      const end = day(from, now) === day(to, now) ? moment(to, to) : moment(to, now);
      this.zoomed.replaceChildren(`${moment(from, now)} to ${end} (${span(Math.round(zoom.to - zoom.from))}) `,
        h('button', { type: 'button', class: 'quiet', onclick: () => this.range.into(null) }, 'Reset zoom'));
    }
    const exported = (measurement: string, name: string): HTMLElement =>
      h('a', { href: address('export', { measurement, publisher: this.id, ...this.range.query(), format: 'csv' }), download: '' }, name);
    this.exports.replaceChildren('Export this range as CSV: ', exported('sensor', 'readings'), ', ', exported('heartbeat', 'heartbeats'),
      this.boxes.size ? h('span', { class: 'hint' }, ' Drag over a chart to zoom, double-click to reset.') : '');
  }

  private sight(entries: IntersectionObserverEntry[]): void {
    for (const entry of entries) {
      const box = [...this.boxes.values()].find((one) => one.root === entry.target);
      if (!box) continue;
      box.near = entry.isIntersecting;
      if (!box.near) box.drop();
    }
    this.ask();
  }

  private async fetch(): Promise<void> {
    if (this.asking || this.signal.aborted) return;
    const { generation } = this;
    const wanted = [...this.boxes.values()].filter((box) => box.near && box.drawn !== generation).slice(0, MOST_FIELDS);
    if (!wanted.length) return;
    const asking = (this.asking = new AbortController());
    try {
      const answer = await readings(this.id, { ...this.range.query(), points: POINTS, field: wanted.map((box) => box.field.name) }, asking.signal);
      if (this.asking !== asking) return;
      this.fetchedAt = performance.now();
      await Promise.all(wanted.map((box) => box.draw(answer, generation)));
      text(this.told, '');
    } catch (error) {
      if (asking.signal.aborted || this.signal.aborted) return;
      this.fetchedAt = performance.now();
      text(this.told, `The readings could not be loaded: ${error instanceof Refused ? error.message : String(error)}.`);
      return;
    } finally {
      if (this.asking === asking) this.asking = null;
    }
    this.ask();
  }
}

/** Why there is no chart. */
function nothing(fields: number, readings: number): string {
  if (fields) return 'It sends texts only: their latest values stand beside.';
  return readings ? 'None of its readings is in the store yet.' : 'It sends no readings, only signs of life: there is nothing to chart.';
}
