// Which publishers are shown, and in which order. Pure.
import type { Entry } from './fleet';
import { severity } from './states';
import type { State } from './api';

export const COLUMNS = ['state', 'id', 'host', 'cause', 'heard', 'silence', 'rate', 'missed'] as const;
export type Column = (typeof COLUMNS)[number];
export interface Sort { column: Column; down: boolean }
/** What the address bar holds. */
export interface Question { text: string; states: ReadonlySet<State>; sort: Sort }

/** Trouble first, then by name. */
export const DEFAULT_SORT: Sort = { column: 'state', down: false };
/** Columns whose order changes while messages come, not with a state only. */
export const RESTLESS: ReadonlySet<Column> = new Set(['heard', 'silence', 'rate', 'missed']);
/** Columns where a first click shows the largest. */
export const LARGEST_FIRST: ReadonlySet<Column> = new Set(['silence', 'rate', 'missed']);

/** `?q=…&state=dead,silent&sort=-rate`. What it does not know it leaves out. */
export function parse(search: string): Question {
  const query = new URLSearchParams(search);
  const states = new Set((query.get('state') ?? '').split(',').filter((word) => severity(word as State) >= 0) as State[]);
  const told = query.get('sort') ?? '';
  const column = COLUMNS.find((one) => one === told.replace(/^-/, ''));
  return { text: query.get('q') ?? '', states, sort: column ? { column, down: told.startsWith('-') } : DEFAULT_SORT };
}

/** The inverse of `parse`; empty for the defaults. */
export function render(question: Question): string {
  const query = new URLSearchParams();
  if (question.text) query.set('q', question.text);
  if (question.states.size) query.set('state', [...question.states].sort((a, b) => severity(a) - severity(b)).join(','));
  const { column, down } = question.sort;
  if (column !== DEFAULT_SORT.column || down) query.set('sort', (down ? '-' : '') + column);
  const text = query.toString();
  return text ? `?${text.replaceAll('%2C', ',')}` : '';
}

/** Each word must occur in the id or the host. */
export function matches(entry: Entry, words: readonly string[]): boolean {
  return words.every((word) => entry.hay.includes(word));
}

type Key = (entry: Entry) => number | string;
/** Never heard sorts as the longest silence. */
const key = (column: Column, at: number): Key => {
  switch (column) {
    case 'state': return (e) => severity(e.state);
    case 'id': return (e) => e.rank;
    case 'host': return (e) => e.host ?? '\uffff';
    case 'cause': return (e) => e.reason;
    case 'heard': return (e) => (e.silence_s === null ? Infinity : e.silence_s + (at - e.at) / 1000);
    case 'silence': return (e) => (e.silence_s === null ? Infinity : (e.silence_s + (at - e.at) / 1000) / e.threshold_s);
    case 'rate': return (e) => e.rate;
    case 'missed': return (e) => e.missed + e.duplicates;
  }
};

/** Those that match, sorted; ties by name. `at` is the instant of `performance.now()` silences are compared at. */
export function arrange(entries: Iterable<Entry>, question: Question, at: number): Entry[] {
  const words = question.text.toLowerCase().split(/\s+/).filter(Boolean);
  const of = key(question.sort.column, at), sign = question.sort.down ? -1 : 1;
  const kept: { entry: Entry; key: number | string }[] = [];
  for (const entry of entries) {
    if (question.states.size && !question.states.has(entry.state)) continue;
    if (words.length && !matches(entry, words)) continue;
    kept.push({ entry, key: of(entry) });
  }
  kept.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : a.entry.rank - b.entry.rank));
  return kept.map((one) => one.entry);
}
