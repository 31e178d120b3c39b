// All publishers as they are known here: snapshots and updates in, entries out. No DOM, no network.
import type { Figures, Heard, Overview, Row, Update } from './api';
import { Signal } from './signal';

/** A row, and what the page adds to it. Entries are changed in place. */
export interface Entry extends Omit<Row, 'last_heard'> {
  /** `performance.now()` when `silence_s` was received. */
  at: number;
  /** When it was last heard, in ms since 1970. */
  heard: number | null;
  /** Its place in the order of names. */
  rank: number;
  /** What the search looks into, in lower case. */
  hay: string;
}

/** What an update changed. */
export interface Change {
  /** Publishers came or went. */
  members: boolean;
  /** A state, cause, host or process changed. */
  rows: boolean;
}

/** A row as an entry, not yet ranked. */
export function entered({ last_heard, ...row }: Row, at: number): Entry {
  return { ...row, at, heard: last_heard === null ? null : Date.parse(last_heard), rank: -1, hay: `${row.id}\n${row.host ?? ''}`.toLowerCase() };
}

const NAMES = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

export class Fleet {
  /** By `index`. */
  entries: (Entry | undefined)[] = [];
  byId = new Map<string, Entry>();
  figures: Figures | null = null;
  instance: string | null = null;
  /** When the stream was cut (`performance.now()`): silences stand still then. */
  frozen: number | null = null;
  readonly changed = new Signal<Change>();

  /** There are too many to be told of all: `entries` is empty, figures of the whole come, and rows are asked for as they are looked at. */
  get paged(): boolean {
    return this.figures?.all_told === false;
  }

  /** How many there are. */
  get size(): number {
    return this.paged ? Object.values(this.figures?.states ?? {}).reduce((all, n) => all + n, 0) : this.byId.size;
  }

  /** Replaces everything. `at` is `performance.now()` when it was received. */
  replace(snapshot: Overview, at: number): void {
    this.instance = snapshot.instance;
    this.figures = snapshot;
    const before = this.byId;
    this.entries = [];
    this.byId = new Map();
    if (!this.paged) for (const row of snapshot.publishers) this.put(row, at, before.get(row.id));
    this.rank();
    this.changed.emit({ members: true, rows: true });
  }

  /** Applies an update; one that is not newer than what is known is dropped. `false`: it speaks of publishers that are not known here. */
  update(update: Update, at: number): boolean {
    if (!this.figures || update.revision <= this.figures.revision) return true;
    if (update.all_told !== this.figures.all_told) return false;
    this.figures = update;
    const known = this.byId.size;
    for (const row of update.rows) this.put(row, at, this.byId.get(row.id));
    const members = this.byId.size !== known;
    if (members) this.rank();
    let complete = true;
    for (const heard of update.heard) complete = this.hear(heard, at) && complete;
    this.changed.emit({ members, rows: update.rows.length > 0 });
    return complete;
  }

  /** How long it has been silent at `now` (`performance.now()`), in seconds; `null` if it was never heard. */
  silence(entry: Entry, now: number): number | null {
    if (entry.silence_s === null) return null;
    const until = this.frozen === null ? now : Math.min(now, this.frozen);
    return entry.silence_s + Math.max(0, until - entry.at) / 1000;
  }

  /** Takes a single row, as the answer to a request is. Figures of the whole come with the next update. */
  take(row: Row, at: number): void {
    const known = this.paged || this.byId.has(row.id);
    if (!this.paged) this.put(row, at, this.byId.get(row.id));
    if (!known) this.rank();
    this.changed.emit({ members: !known, rows: true });
  }

  private put(row: Row, at: number, before: Entry | undefined): void {
    const entry = Object.assign(before ?? ({} as Entry), entered(row, at), { rank: before?.rank ?? -1 });
    this.entries[row.index] = entry;
    this.byId.set(row.id, entry);
  }

  private hear([index, last, silence, rate, messages, missed, duplicates, late]: Heard, at: number): boolean {
    const entry = this.entries[index];
    if (!entry) return false;
    entry.heard = last === null ? null : last * 1000;
    entry.silence_s = silence;
    entry.at = at;
    entry.rate = rate;
    entry.messages = messages;
    entry.missed = missed;
    entry.duplicates = duplicates;
    entry.late = late;
    return true;
  }

  /** Names are compared once, here: sorting then compares numbers. */
  private rank(): void {
    [...this.byId.values()].sort((a, b) => NAMES.compare(a.id, b.id) || (a.id < b.id ? -1 : 1)).forEach((entry, rank) => (entry.rank = rank));
  }
}
