// The charts' shared range of time: a span that ends now, or a part that was zoomed into. It stands in the address.
import { Signal } from '../signal';

export const SPANS: readonly [string, string, number][] = [
  ['15m', '15 min', 900], ['1h', '1 h', 3600], ['6h', '6 h', 21_600], ['1d', '1 d', 86_400], ['7d', '7 d', 604_800],
];

/** Zooming in further shows nothing more. Seconds. */
const SHORTEST = 2;
const SHORT_MS = 900_000;

export class Range {
  readonly changed = new Signal<void>();
  /** One of `SPANS`. */
  span = '1h';
  /** Seconds since 1970. */
  zoom: { from: number; to: number } | null = null;

  /** The reader chose it, or came by a link that says it. */
  private chosen = false;

  constructor() {
    const query = new URLSearchParams(location.search);
    const span = query.get('range'), from = Date.parse(query.get('from') ?? ''), to = Date.parse(query.get('to') ?? '');
    if (SPANS.some(([key]) => key === span)) this.span = span as string;
    if (from < to) this.zoom = { from: from / 1000, to: to / 1000 };
    this.chosen = query.has('range') || this.zoom !== null;
  }

  /** For the API's `since` and `until`. */
  query(): { since: string; until?: string } {
    return this.zoom ? { since: iso(this.zoom.from), until: iso(this.zoom.to) } : { since: this.span };
  }

  seconds(): number {
    return this.zoom ? this.zoom.to - this.zoom.from : (SPANS.find(([key]) => key === this.span)?.[2] ?? 3600);
  }

  /** Of one that is new, an hour would show a sliver. `begun`: since when there is anything, in ms since 1970. */
  fit(begun: number | null): void {
    if (this.chosen || begun === null || Date.now() - begun > SHORT_MS) return;
    this.chosen = true;
    this.span = '15m';
    this.changed.emit();
  }

  choose(span: string): void {
    this.span = span;
    this.into(null);
  }

  /** Shows a part; `null` shows the whole span again. */
  into(zoom: { from: number; to: number } | null): void {
    if (zoom && zoom.to - zoom.from < SHORTEST) return;
    this.zoom = zoom;
    this.chosen = true;
    const query = new URLSearchParams();
    query.set('range', this.span);
    if (zoom) {
      query.set('from', iso(zoom.from));
      query.set('to', iso(zoom.to));
    }
    history.replaceState(null, '', `${location.pathname}?${query.toString()}`);
    this.changed.emit();
  }
}

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();
