// One publisher's page: how it is and why, its past, its readings.
import { Refused, publisher } from '../api';
import type { Detail, Flip } from '../api';
import { entered } from '../fleet';
import type { Entry, Fleet } from '../fleet';
import type { View } from '../main';
import type { Stream } from '../stream';
import { framed, h } from '../dom';
import { home } from '../overview/overview';
import { link } from '../router';
import { Board } from './board';
import { Facts } from './facts';
import { Flips } from './flips';
import { Hero } from './hero';
import { Log } from './log';
import { Range } from './range';
import { Strip } from './strip';

const TICK_MS = 250;
/** The figures that the stream does not carry are asked for this often, while messages come. */
const POLL_MS = 5_000;
/** Pauses between questions for a flip that is not in the store yet. */
const STORED_MS = [200, 500, 1_000, 2_000, 5_000, 10_000];

export class Publisher implements View {
  readonly what: string;
  readonly root = h('main', { class: 'page publisher' });
  readonly tools = h('nav', { class: 'crumb', 'aria-label': 'Where you are' }, h('a', { href: home() }, '← All publishers'),
    h('span', { class: 'jumps' }, h('a', { href: '#board-head' }, 'Readings'), h('a', { href: '#past-head' }, 'Flips')));
  private readonly stop = new AbortController();
  private readonly ends: (() => void)[] = [];
  private readonly timers: number[] = [];
  private readonly draw = framed(() => this.render());
  private readonly hero: Hero;
  private readonly range = new Range();
  private readonly parts: { facts: Facts; strip: Strip; board: Board; flips: Flips; log: Log };
  private detail: Detail | null = null;
  private receivedAt = 0;
  private built = false;
  private asked = 0;

  constructor(private readonly fleet: Fleet, private readonly stream: Stream, private readonly id: string) {
    this.what = id;
    this.hero = new Hero(id, (row) => {
      fleet.take(row, performance.now());
      void this.load();
    });
    const { signal } = this.stop;
    this.parts = {
      facts: new Facts(), strip: new Strip(id, signal), board: new Board(id, this.range, signal), flips: new Flips(id, signal), log: new Log(id, signal),
    };
    this.root.append(h('p', { class: 'loading', role: 'status' }, 'Loading…'));
    this.ends.push(
      fleet.changed.listen((change) => change.members && !this.built ? void this.load() : this.draw()),
      stream.flipped.listen((flip) => flip.publisher === id && void this.flipped(flip)),
      stream.changed.listen((connection) => connection.kind === 'live' && this.built && void this.refresh()),
    );
    this.timers.push(
      setInterval(() => document.hidden || this.tick(), TICK_MS),
      setInterval(() => document.hidden || this.poll(), POLL_MS),
    );
    scrollTo(0, 0);
    void this.load();
  }

  destroy(): void {
    this.stop.abort();
    this.draw.cancel();
    this.timers.forEach((timer) => clearInterval(timer));
    for (const end of this.ends) end();
    this.parts.board.destroy();
    this.parts.strip.destroy();
  }

  private async load(): Promise<void> {
    const asked = ++this.asked;
    try {
      const detail = await publisher(this.id, this.stop.signal);
      if (asked !== this.asked) return;
      this.detail = detail;
      this.receivedAt = performance.now();
      if (!this.built) this.build();
      this.render();
    } catch (error) {
      if (this.stop.signal.aborted || asked !== this.asked || this.built) return;
      if (error instanceof Refused && error.status === 404) this.unknown();
      else if (!(error instanceof Refused && error.status === 401)) this.failed(error);
    }
  }

  private build(): void {
    this.built = true;
    const { facts, strip, board, flips, log } = this.parts;
    this.root.replaceChildren(this.hero.root, strip.root, h('div', { class: 'columns' },
      h('div', { class: 'column-main' }, log.root, board.root, flips.root), h('aside', { class: 'column-side', 'aria-label': 'Details' }, facts.root)));
    void strip.load().then(() => this.range.fit(strip.begun));
    void flips.load().then(() => this.render());
    void log.load();
  }

  /** Something happened to it, or was missed while the stream was cut. */
  private async refresh(): Promise<void> {
    const { strip, flips, log } = this.parts;
    await Promise.all([this.load(), strip.load(), flips.load(), log.load()]);
    this.render();
  }

  /** The store has a flip a moment later than the stream: it is asked until it does. */
  private async flipped(flip: Flip): Promise<void> {
    await this.refresh();
    for (const wait of STORED_MS) {
      if (this.parts.flips.has(flip)) return;
      await new Promise((again) => setTimeout(again, wait));
      if (this.stop.signal.aborted) return;
      await this.refresh();
    }
  }

  private poll(): void {
    const entry = this.fleet.byId.get(this.id);
    if (!this.built) void this.load();
    else if (this.fleet.paged) void Promise.all([this.load(), this.parts.log.load()]);
    else if (entry && this.detail && entry.messages !== this.detail.messages) void Promise.all([this.load(), this.parts.log.load()]);
  }

  /** What is known last: the stream's row, or the answer if that is newer. */
  private entry(): Entry | null {
    const known = this.fleet.byId.get(this.id);
    if (known && (!this.detail || known.at >= this.receivedAt || this.stream.connection.kind === 'live')) return known;
    return this.detail ? entered(this.detail, this.receivedAt) : (known ?? null);
  }

  private render(): void {
    const entry = this.entry();
    if (!this.built || !entry || !this.detail) return;
    this.hero.show(entry, this.detail, this.parts.flips.latest());
    this.parts.facts.show(entry, this.detail);
    this.parts.board.show(this.detail.fields, entry.messages, entry.readings, this.stream.connection.kind === 'live');
    this.tick();
  }

  private tick(): void {
    const entry = this.entry();
    if (this.built && entry) this.hero.tick(entry, this.fleet.silence(entry, performance.now()));
  }

  private unknown(): void {
    const asked = this.id.toLowerCase();
    const alike = [...this.fleet.byId.values()].filter((entry) => entry.hay.includes(asked) || asked.includes(entry.id.toLowerCase())).slice(0, 8);
    this.root.replaceChildren(h('div', { class: 'note' },
      h('h1', {}, 'Nobody of this name'),
      h('p', {}, 'The watchdog has never heard of ', h('code', {}, this.id), '. It appears here as soon as it sends its first message.'),
      alike.length ? h('h2', {}, 'Did you mean') : null,
      alike.length ? h('ul', {}, ...alike.map((entry) => h('li', {}, h('a', { href: link(entry.id) }, entry.id)))) : null,
      h('h2', {}, 'Let it be heard'),
      h('pre', { tabindex: 0 }, `curl ${location.origin}/api/v1/beat/${encodeURIComponent(this.id)}`),
      h('p', {}, h('a', { href: '/' }, 'All publishers'))));
  }

  private failed(error: unknown): void {
    this.root.replaceChildren(h('div', { class: 'note' }, h('h1', {}, 'This page could not be loaded'),
      h('p', {}, `${error instanceof Error ? error.message : String(error)}. It is tried again every ${POLL_MS / 1000} s.`),
      h('p', {}, h('button', { type: 'button', class: 'loud', onclick: () => void this.load() }, 'Try now'))));
  }
}
