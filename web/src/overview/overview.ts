// The overview: how many are in which state, the latest flips, and the table. The question (search, states, order) lives in the address.
import type { Flip, State } from '../api';
import type { Change, Fleet } from '../fleet';
import type { View } from '../main';
import type { Stream } from '../stream';
import { framed, h, text } from '../dom';
import { count } from '../format';
import { Chips } from './chips';
import { FlipList } from './flips';
import { MOST, Pages } from './pages';
import { teach } from './teach';
import { Table, sorter } from './table';
import { RESTLESS, arrange, parse, render } from '../order';
import type { Question, Sort } from '../order';
import { vitals } from './vitals';

/** Rows change places at most this often. */
const SHUFFLE_MS = 1_000;
/** Where the reader was, for coming back. */
let left: { search: string; scroll: number } = { search: '', scroll: 0 };
export const home = (): string => `/${left.search}`;

export class Overview implements View {
  readonly what = null;
  readonly root = h('main', { class: 'page overview' });
  readonly tools: HTMLElement;
  private question: Question = parse(location.search);
  private readonly chips = new Chips((state) => this.choose(state));
  private readonly flips = new FlipList();
  private readonly vitals = h('p', { class: 'vitals' });
  private readonly search = h('input', {
    type: 'search', placeholder: innerWidth < 720 ? 'Search' : 'Search publisher or host', 'aria-label': 'Search publisher or host', autocomplete: 'off', spellcheck: 'false',
    enterkeyhint: 'search', autocapitalize: 'off',
  });
  private readonly table: Table;
  private readonly sorter = sorter((sort) => this.sort(sort));
  private readonly found = h('p', { class: 'found', role: 'status' });
  private readonly more = h('p', { class: 'more', hidden: true }, `Only the first ${count(MOST)} are listed. Search, choose states or sort to see others.`);
  private readonly nobody = h('div', { class: 'note', hidden: true });
  private readonly stop = new AbortController();
  private readonly ends: (() => void)[] = [];
  private readonly draw = framed(() => this.render());
  private readonly pages = new Pages(() => {
    this.shuffled = -Infinity;
    this.stale = true;
    this.draw();
  });
  private readonly shuffler: number;
  private change: Change | null = { members: true, rows: true };
  private shuffled = -Infinity;
  private stale = true;
  private taught = false;
  private restore: number;

  constructor(private readonly fleet: Fleet, stream: Stream) {
    this.restore = left.search === location.search ? left.scroll : 0;
    this.table = new Table(fleet, (sort) => this.sort(sort), this.question.sort);
    this.sorter.show(this.question.sort);
    this.search.value = this.question.text;
    this.tools = h('div', { class: 'search' }, this.search, h('kbd', { 'aria-hidden': 'true' }, '/'));
    const bar = h('div', { class: 'bar' }, this.found, this.sorter.root);
    this.root.append(h('h1', { class: 'unseen-text' }, 'Publishers'),
      h('div', { class: 'summary' }, h('div', { class: 'summary-main' }, this.chips.root, this.vitals), this.flips.root), bar, this.table.root, this.more, this.nobody);
    this.ends.push(fleet.changed.listen((change) => this.changed(change)), stream.flipped.listen((flip) => this.flipped(flip)));
    const { signal } = this.stop;
    this.search.addEventListener('input', () => this.ask({ ...this.question, text: this.search.value }), { signal });
    document.addEventListener('keydown', (event) => this.key(event), { signal });
    document.addEventListener('visibilitychange', () => document.hidden || this.draw(), { signal });
    addEventListener('scroll', () => this.look(), { passive: true, signal });
    this.shuffler = setInterval(() => {
      if (this.stale) this.draw();
      if (!document.hidden) this.look();
    }, SHUFFLE_MS / 4);
    if (fleet.figures) this.draw();
    this.look();
  }

  destroy(): void {
    left = { search: render(this.question), scroll: scrollY };
    this.stop.abort();
    this.draw.cancel();
    clearInterval(this.shuffler);
    for (const end of this.ends) end();
    this.table.destroy();
    this.pages.destroy();
    this.flips.destroy();
  }

  private changed(change: Change): void {
    this.change = { members: change.members || !!this.change?.members, rows: change.rows || !!this.change?.rows };
    this.draw();
    if (change.members) this.look();
  }

  private flipped(flip: Flip): void {
    this.flips.add(flip);
  }

  private choose(state: State | null): void {
    const states = new Set(state === null ? [] : this.question.states);
    if (state !== null && !states.delete(state)) states.add(state);
    this.ask({ ...this.question, states });
  }

  private sort(sort: Sort): void {
    this.table.sort(sort);
    this.sorter.show(sort);
    this.ask({ ...this.question, sort });
  }

  private ask(question: Question): void {
    this.question = question;
    this.search.value = question.text;
    history.replaceState(null, '', location.pathname + render(question));
    this.stale = true;
    this.shuffled = -Infinity;
    this.draw();
    this.look();
  }

  /** Of too many publishers to be told of all, those in sight are asked for. */
  private look(): void {
    if (this.fleet.paged && this.fleet.frozen === null) void this.pages.want(this.question, ...this.table.sight());
  }

  private key(event: KeyboardEvent): void {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this.search.focus();
      this.search.select();
    } else if (event.key === 'Escape' && (this.question.text || event.target === this.search)) {
      this.ask({ ...this.question, text: '' });
      this.search.blur();
    } else if (event.target === this.search && (event.key === 'ArrowDown' || event.key === 'Enter')) {
      event.preventDefault();
      this.table.root.focus();
    }
  }

  private render(): void {
    const { figures } = this.fleet;
    if (!figures) return;
    const { change } = this;
    this.change = null;
    this.chips.show(figures.states, this.fleet.size, this.question.states);
    vitals(this.vitals, figures);
    this.stale ||= !!change && (change.members || change.rows || RESTLESS.has(this.question.sort.column));
    const now = performance.now();
    if (this.stale && now - this.shuffled >= SHUFFLE_MS) {
      this.stale = false;
      this.shuffled = now;
      const { paged } = this.fleet;
      const shown = paged ? this.pages.rows : arrange(this.fleet.byId.values(), this.question, now);
      this.table.show(shown);
      if (!paged || this.pages.matching !== null) this.empty(shown.length, paged ? (this.pages.matching ?? 0) : shown.length);
    }
    this.table.refresh();
    // Before the first answer the table has no rows, and can't be scrolled.
    if (this.restore && (!this.fleet.paged || this.pages.matching !== null)) {
      scrollTo({ top: this.restore, behavior: 'instant' });
      this.restore = 0;
    }
  }

  private empty(shown: number, matching: number): void {
    const all = this.fleet.size, asked = this.question.text !== '' || this.question.states.size > 0;
    const first = matching > MOST ? `the first ${count(MOST)} of ` : '';
    text(this.found, asked ? `${first}${count(matching)} of ${count(all)} publishers` : first && `${first}${count(all)} publishers`);
    this.table.root.hidden = shown === 0;
    this.more.hidden = !first;
    this.nobody.hidden = shown !== 0;
    this.root.classList.toggle('empty', all === 0);
    if (shown) return;
    if (all === 0) {
      if (!this.taught) this.nobody.replaceChildren(teach(this.fleet.figures?.links ?? []));
      this.taught = true;
    } else {
      this.taught = false;
      const what = [this.question.text && `“${this.question.text}”`, [...this.question.states].join(' or ')].filter(Boolean).join(', ');
      this.nobody.replaceChildren(h('h2', {}, 'Nobody matches'), h('p', {}, `None of the ${count(all)} publishers is ${what}.`),
        h('p', {}, h('button', { type: 'button', class: 'loud', onclick: () => this.ask({ ...this.question, text: '', states: new Set() }) }, 'Show all')));
    }
  }
}
