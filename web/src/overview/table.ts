// The table of publishers. Only the rows in sight exist; the page scrolls, not the table, so that a phone's bars fold away.
import type { Entry, Fleet } from '../fleet';
import { attribute, framed, h, text } from '../dom';
import { LARGEST_FIRST } from '../order';
import type { Column, Sort } from '../order';
import { go, link } from '../router';
import { RowView } from './row';
import { Sparks } from './spark';

/** Rows above and below those in sight: a fling must not show a hole. */
const SPARE = 12;
const TICK_MS = 250;
const SPARK_AFTER_MS = 200;
const HEADS: readonly [Column | null, string, string][] = [
  ['state', 'State', 'c-state'], ['id', 'Publisher', 'c-id'], ['host', 'Host', 'c-host'], ['cause', 'Cause', 'c-cause'],
  ['heard', 'Last heard', 'c-heard'], ['silence', 'Silence', 'c-silence'], ['rate', 'Msg/s', 'c-rate'], ['missed', 'Missed/dup.', 'c-missed'],
  [null, '30 min', 'c-spark'],
];

export class Table {
  readonly root = h('div', { role: 'grid', class: 'table', tabindex: 0, 'aria-label': 'Publishers', 'aria-colcount': HEADS.length });
  private readonly heads = new Map<Column, HTMLElement>();
  private readonly body = h('div', { role: 'rowgroup', class: 'rows' });
  private readonly sparks = new Sparks();
  private readonly stop = new AbortController();
  private readonly draw = framed(() => this.render());
  private readonly ticker: number;
  private readonly sized: ResizeObserver;
  private slots: RowView[] = [];
  private shown: readonly (Entry | undefined)[] = [];
  private height = 0;
  /** What the keyboard is at: a place of the table, and who is shown there as soon as that is known. */
  private focused: { place: number; entry: Entry | undefined } | null = null;
  private sparkTimer = 0;

  constructor(private readonly fleet: Fleet, sort: (sort: Sort) => void, private sorted: Sort) {
    const cells = HEADS.map(([column, name, style]) => {
      const cell = h('span', { role: 'columnheader', class: style });
      if (column) {
        const down = (): boolean => (this.sorted.column === column ? !this.sorted.down : LARGEST_FIRST.has(column));
        cell.append(h('button', { type: 'button', onclick: () => sort({ column, down: down() }) }, name));
        this.heads.set(column, cell);
      } else {
        cell.append(name);
      }
      return cell;
    });
    this.root.append(h('div', { role: 'rowgroup', class: 'heads' }, h('div', { role: 'row', class: 'head', 'aria-rowindex': 1 }, ...cells)), this.body);
    const { signal } = this.stop;
    addEventListener('scroll', () => this.draw(), { passive: true, signal });
    this.root.addEventListener('keydown', (event) => this.key(event), { signal });
    this.root.addEventListener('focus', () => this.focus(this.focused?.place ?? this.first()), { signal });
    this.body.addEventListener('click', (event) => this.click(event), { signal });
    this.sized = new ResizeObserver(() => this.measure());
    this.sized.observe(this.root);
    this.ticker = setInterval(() => document.hidden || this.tick(), TICK_MS);
    this.sort(sorted);
  }

  destroy(): void {
    this.stop.abort();
    this.draw.cancel();
    this.sized.disconnect();
    this.sparks.destroy();
    clearInterval(this.ticker);
    clearTimeout(this.sparkTimer);
  }

  /** Says in the heads how the rows are sorted. */
  sort(sorted: Sort): void {
    this.sorted = sorted;
    for (const [column, cell] of this.heads) {
      attribute(cell, 'aria-sort', column === sorted.column ? (sorted.down ? 'descending' : 'ascending') : null);
    }
  }

  /** The places from which and up to which there are rows, in sight or nearly. */
  sight(): [from: number, to: number] {
    const height = this.height || 40, from = Math.max(0, Math.floor(this.above() / height) - SPARE);
    return [from, from + Math.ceil(innerHeight / height) + 2 * SPARE];
  }

  /** Shows these, in this order; a hole is one that is not known yet. */
  show(entries: readonly (Entry | undefined)[]): void {
    this.shown = entries;
    this.follow();
    attribute(this.root, 'aria-rowcount', String(entries.length + 1));
    if (!this.height) this.measure();
    this.body.style.height = `${entries.length * this.height}px`;
    this.draw();
  }

  /** Their figures changed. */
  refresh(): void {
    for (const slot of this.slots) slot.update();
    this.tick();
  }

  /** Where the body begins above the window's top edge, in px. */
  private above(): number {
    return -this.body.getBoundingClientRect().top;
  }

  private first(): number {
    return Math.min(Math.max(0, Math.ceil(this.above() / (this.height || 1)) + 1), Math.max(0, this.shown.length - 1));
  }

  private measure(): void {
    const probe = this.slots[0] ?? this.slot();
    const height = probe.root.offsetHeight;
    if (height && height !== this.height) {
      this.height = height;
      this.body.style.height = `${this.shown.length * height}px`;
    }
    this.draw();
  }

  private slot(): RowView {
    const slot = new RowView(`row-${this.slots.length}`);
    this.slots.push(slot);
    this.body.append(slot.root);
    return slot;
  }

  private render(): void {
    if (!this.height) return this.measure();
    const [from, end] = this.sight(), to = Math.min(this.shown.length, end);
    while (this.slots.length < to - from) this.slot();
    const used = new Set<RowView>();
    for (let place = from; place < to; place++) {
      const slot = this.slots[place % this.slots.length], entry = this.shown[place];
      if (!slot || !entry) continue;
      used.add(slot);
      const fresh = slot.entry !== entry;
      slot.bind(entry, place, this.height);
      if (fresh) slot.spark(this.sparks.line(entry.id));
      slot.root.hidden = false;
    }
    for (const slot of this.slots) if (!used.has(slot)) slot.root.hidden = true;
    this.tick();
    this.mark();
    clearTimeout(this.sparkTimer);
    this.sparkTimer = setTimeout(() => this.wantSparks(), SPARK_AFTER_MS);
  }

  private tick(): void {
    const now = performance.now();
    for (const slot of this.slots) if (!slot.root.hidden) slot.tick(this.fleet, now);
  }

  private wantSparks(): void {
    if (document.hidden) return;
    const ids = this.slots.filter((slot) => !slot.root.hidden && slot.entry).map((slot) => (slot.entry as Entry).id);
    void this.sparks.want(ids, () => {
      for (const slot of this.slots) if (slot.entry) slot.spark(this.sparks.line(slot.entry.id));
    });
    this.sparkTimer = setTimeout(() => this.wantSparks(), 5_000);
  }

  private click(event: MouseEvent): void {
    // A cell with a tooltip lies above the row's link.
    const target = event.target as Element;
    if (target.closest('a')) return;
    const id = this.slots.find((slot) => slot.root.contains(target))?.entry?.id;
    if (id !== undefined && !String(getSelection())) go(link(id));
  }

  private key(event: KeyboardEvent): void {
    if (event.target !== this.root || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.focused?.place ?? -1;
    const page = Math.max(1, Math.floor(innerHeight / this.height) - 3), last = this.shown.length - 1;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.focus(Math.max(0, Math.min(last, to)));
    } else if (event.key === 'Enter' && this.focused?.entry) {
      go(link(this.focused.entry.id));
    }
  }

  /** The focus goes where its publisher went; where that is not known, or it is gone, it stays at its place. */
  private follow(): void {
    const { focused } = this;
    if (!focused) return;
    const at = focused.entry ? this.shown.indexOf(focused.entry) : -1;
    if (at >= 0) focused.place = at;
    else if (focused.place >= this.shown.length) this.focused = null;
    else focused.entry = this.shown[focused.place] ?? focused.entry;
  }

  private focus(place: number): void {
    if (place >= this.shown.length) return;
    this.focused = { place, entry: this.shown[place] };
    const top = this.body.getBoundingClientRect().top + place * this.height;
    const edge = (this.root.firstElementChild as Element).getBoundingClientRect().bottom;
    if (top < edge) scrollBy({ top: top - edge, behavior: 'instant' });
    else if (top + this.height > innerHeight) scrollBy({ top: top + this.height - innerHeight + 4, behavior: 'instant' });
    this.render();
  }

  /** Shows which row has the focus, wherever it was moved to. */
  private mark(): void {
    let active: string | null = null;
    for (const slot of this.slots) {
      const on = slot.entry !== null && slot.entry === this.focused?.entry && !slot.root.hidden;
      slot.root.classList.toggle('focused', on);
      if (on) active = slot.root.id;
    }
    attribute(this.root, 'aria-activedescendant', active);
  }
}

/** For screens too narrow for heads: the same choice as a list. */
export function sorter(choose: (sort: Sort) => void): { root: HTMLElement; show(sort: Sort): void } {
  const choices: [string, Sort][] = [
    ['Trouble first', { column: 'state', down: false }], ['Name', { column: 'id', down: false }], ['Host', { column: 'host', down: false }],
    ['Cause', { column: 'cause', down: false }], ['Heard last', { column: 'heard', down: false }], ['Nearest to its threshold', { column: 'silence', down: true }],
    ['Most messages', { column: 'rate', down: true }], ['Most missed', { column: 'missed', down: true }],
  ];
  const select = h('select', { 'aria-label': 'Sort' }, ...choices.map(([name], i) => h('option', { value: i }, name)));
  const other = h('option', { value: -1, hidden: true }, '');
  select.append(other);
  select.addEventListener('change', () => {
    const choice = choices[Number(select.value)];
    if (choice) choose(choice[1]);
  });
  const show = (sort: Sort): void => {
    const at = choices.findIndex(([, one]) => one.column === sort.column && one.down === sort.down);
    text(other, at < 0 ? `${choices.find(([, one]) => one.column === sort.column)?.[0] ?? ''}, reversed` : '');
    select.value = String(at);
  };
  return { root: h('label', { class: 'sorter' }, select), show };
}
