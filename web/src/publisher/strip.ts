// Its states over the last hour, day or week, as a strip and as a list.
import { history } from '../api';
import type { History, Span, State } from '../api';
import { attribute, h, text } from '../dom';
import { clock, moment, percent, span } from '../format';
import { badge, mark } from '../mark';

const LENGTHS: readonly [string, string][] = [['1h', 'hour'], ['1d', 'day'], ['7d', 'week']];
const REFRESH_MS = 60_000;
const HOUR_MS = 3_600_000;
/** Narrower parts are drawn together with their neighbours, as the worst of them. */
const PARTS = 500;
const LISTED = 200;

export class Strip {
  readonly root = h('section', { class: 'history bare', 'aria-labelledby': 'history-head' });
  private readonly lengths = h('div', { class: 'segments', role: 'group', 'aria-label': 'Length' });
  private readonly share = h('p', { class: 'alive-share' });
  private readonly bar = h('div', { class: 'strip', tabindex: 0, role: 'group', 'aria-roledescription': 'strip of states' });
  private readonly told = h('p', { class: 'strip-told', 'aria-live': 'polite' });
  private readonly scale = h('div', { class: 'strip-scale', 'aria-hidden': 'true' });
  private readonly legend = h('ul', { class: 'legend', 'aria-label': 'Legend' });
  private readonly list = h('details', { class: 'as-list' });
  private readonly timer: number;
  private length = '1d';
  private chosen = false;
  private known: History | null = null;
  private at = -1;

  constructor(private readonly id: string, private readonly signal: AbortSignal) {
    for (const [key, name] of LENGTHS) {
      this.lengths.append(h('button', { type: 'button', 'data-span': key, onclick: () => {
        this.length = key;
        this.chosen = true;
        void this.load();
      } }, name));
    }
    this.root.append(h('div', { class: 'board-bar' }, h('h2', { id: 'history-head' }, 'History'), this.lengths, this.share), this.bar, this.scale, this.told, this.legend, this.list);
    this.bar.addEventListener('pointermove', (event) => this.point(event));
    this.bar.addEventListener('pointerdown', (event) => this.point(event));
    this.bar.addEventListener('pointerleave', () => this.choose(-1));
    this.bar.addEventListener('keydown', (event) => this.key(event));
    this.bar.addEventListener('blur', () => this.choose(-1));
    this.timer = setInterval(() => document.hidden || void this.load(), REFRESH_MS);
  }

  destroy(): void {
    clearInterval(this.timer);
  }

  /** Since when anything is recorded of it, as far as the strip reaches back; ms since 1970. */
  get begun(): number | null {
    const first = this.known?.spans[0];
    return first ? Date.parse(first.from) : null;
  }

  async load(): Promise<void> {
    const asked = this.length;
    for (const button of this.lengths.children) attribute(button, 'aria-pressed', String(button.getAttribute('data-span') === asked));
    try {
      const known = await history(this.id, asked, this.signal);
      if (asked !== this.length) return;
      this.known = known;
      // Of one that is new a day would show a sliver.
      if (!this.chosen && asked === '1d' && this.begun !== null && Date.parse(known.to) - this.begun < HOUR_MS) {
        this.length = '1h';
        return await this.load();
      }
      this.chosen = true;
      this.show(known);
    } catch (error) {
      if (!this.signal.aborted) text(this.share, `The history could not be loaded: ${error instanceof Error ? error.message : String(error)}.`);
    }
  }

  private show(known: History): void {
    this.root.classList.remove('bare');
    const from = Date.parse(known.from), to = Date.parse(known.to), whole = Math.max(1, to - from);
    const watched = `${span(Math.round(known.watched_s))} of ${span(Math.round(whole / 1000))} watched`;
    this.share.replaceChildren(...(known.alive_share === null ? [`Not watched in this time.`]
      : [h('b', {}, `alive ${percent(known.alive_share)}`), ` of the watched time (${watched})`]));
    const marked = (22 / (this.bar.clientWidth || 1)) * 100;
    const left = (at: number): number => ((at - from) / whole) * 100;
    this.bar.replaceChildren(...merged(known.spans, from, whole / PARTS).map((part) => {
      const width = ((part.to - part.from) / whole) * 100;
      const drawn = h('i', { 'data-state': part.state, 'data-watched': String(part.watched) }, width > marked && part.state !== 'alive' && mark(part.state));
      // A part that has just begun is at least a line at the right edge.
      drawn.style.left = `min(${left(part.from)}%, 100% - 2px)`;
      drawn.style.width = `${width}%`;
      return drawn;
    }), h('b', { class: 'cursor' }));
    attribute(this.bar, 'aria-label', `States over the last ${LENGTHS.find(([key]) => key === this.length)?.[1] ?? ''}: ${this.share.textContent ?? ''}. Arrow keys go through the spans.`);
    const now = new Date();
    const day = this.length === '1h';
    this.scale.replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((part) => {
      const at = new Date(from + part * whole);
      return h('span', {}, part === 1 ? 'now' : day ? clock(at) : moment(at, now).slice(0, -3));
    }));
    const states = [...new Set(known.spans.map((one) => one.state))], unwatched = known.spans.some((one) => !one.watched);
    this.legend.replaceChildren(...states.map((state) => h('li', {}, h('i', {
      class: 'swatch', 'data-state': state, 'data-watched': String(known.spans.some((one) => one.state === state && one.watched)),
    }), badge(state))),
      unwatched ? h('li', {}, h('i', { class: 'swatch', 'data-watched': 'false' }), 'hatched: not watched') : '',
      Date.parse(known.spans[0]?.from ?? known.to) > from + 1000 ? h('li', {}, h('i', { class: 'swatch none' }), 'plain: nothing recorded') : '');
    this.listed(known, now);
    this.choose(-1);
  }

  private listed(known: History, now: Date): void {
    const newest = [...known.spans].reverse();
    this.list.replaceChildren(h('summary', {}, `As a list (${newest.length})`),
      h('ol', {}, ...newest.slice(0, LISTED).map((one) => h('li', {}, badge(one.state), ` ${sentence(one, now)}`))),
      newest.length > LISTED ? h('p', {}, `and ${newest.length - LISTED} before.`) : '');
  }

  private point(event: PointerEvent): void {
    if (!this.known) return;
    const box = this.bar.getBoundingClientRect(), from = Date.parse(this.known.from);
    const at = from + ((event.clientX - box.left) / box.width) * (Date.parse(this.known.to) - from);
    this.choose(this.known.spans.findIndex((one) => Date.parse(one.from) <= at && at < Date.parse(one.to)));
  }

  private key(event: KeyboardEvent): void {
    const last = (this.known?.spans.length ?? 0) - 1;
    const from = this.at < 0 ? last + 1 : this.at;
    const to = { ArrowLeft: from - 1, ArrowRight: this.at < 0 ? 0 : from + 1, Home: 0, End: last }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.choose(Math.max(0, Math.min(last, to)));
  }

  private choose(at: number): void {
    this.at = at;
    const one = this.known?.spans[at], cursor = this.bar.querySelector<HTMLElement>('.cursor');
    if (cursor) cursor.hidden = !one;
    if (!one || !this.known || !cursor) return text(this.told, '');
    const from = Date.parse(this.known.from), whole = Date.parse(this.known.to) - from;
    cursor.style.left = `${((Date.parse(one.from) - from) / whole) * 100}%`;
    cursor.style.width = `${((Date.parse(one.to) - Date.parse(one.from)) / whole) * 100}%`;
    text(this.told, `${one.state}: ${sentence(one, new Date())}`);
  }
}

function sentence(one: Span, now: Date): string {
  const from = new Date(one.from), to = new Date(one.to);
  const length = span(Math.round((to.getTime() - from.getTime()) / 1000));
  return `${moment(from, now)} to ${moment(to, now)}, ${length}, ${one.cause.replaceAll('_', ' ')}${one.watched ? '' : ', not watched'}`;
}

interface Part { from: number; to: number; state: State; watched: boolean }
const WEIGHT: readonly State[] = ['alive', 'finished', 'paused', 'unseen', 'blind', 'unknown', 'silent', 'suspended', 'failed', 'dead'];

/** Spans narrower than `least` ms join the part before, which then shows the worse of the two: a short death must not vanish. */
function merged(spans: readonly Span[], start: number, least: number): Part[] {
  const parts: Part[] = [];
  for (const one of spans) {
    const part: Part = { from: Math.max(start, Date.parse(one.from)), to: Date.parse(one.to), state: one.state, watched: one.watched };
    const before = parts.at(-1);
    if (before && before.to - before.from < least) {
      if (WEIGHT.indexOf(before.state) > WEIGHT.indexOf(part.state) && part.to - part.from >= least) {
        before.to = before.from + least;
        part.from = before.to;
        parts.push(part);
        continue;
      }
      const worse = WEIGHT.indexOf(part.state) > WEIGHT.indexOf(before.state) ? part : before;
      Object.assign(before, { to: part.to, state: worse.state, watched: worse.watched });
    } else {
      parts.push(part);
    }
  }
  return parts;
}
