import { expect, test } from 'vitest';
import type { Heard, Overview, Row, State, Update } from '../src/api';
import { Fleet } from '../src/fleet';
import { arrange, parse, render } from '../src/order';
import { summary } from '../src/states';

const row = (index: number, id: string, state: State, more: Partial<Row> = {}): Row => ({
  index, id, host: null, state, cause: 'heard', reason: 'heard', alive: null, since: '2026-11-21T03:00:00Z', last_heard: '2026-11-21T03:12:05Z', silence_s: 1,
  threshold_s: 50, pid: null, rate: 1, messages: 10, readings: 8, missed: 0, duplicates: 0, late: 0, refused: 0, retained: 0, restarts: 0, conflicts: 0, ...more,
});
const figures = (revision: number) => ({
  revision, now: '2026-11-21T03:12:06Z', states: {}, rate: 0, links: [], followers: [], all_told: true,
  totals: { messages: 0, refused: 0, duplicates: 0, unknown: 0, not_kept: 0 },
});
const snapshot = (revision: number, publishers: Row[]): Overview => ({ instance: 'a', ...figures(revision), matching: publishers.length, publishers });
const update = (revision: number, rows: Row[], heard: Heard[] = []): Update => ({ ...figures(revision), rows, heard });

function fleet(...rows: Row[]): Fleet {
  const made = new Fleet();
  made.replace(snapshot(7, rows), 1000);
  return made;
}

test('an update that is not newer than the snapshot changes nothing', () => {
  const made = fleet(row(0, 'a', 'alive'));
  for (const revision of [6, 7]) expect(made.update(update(revision, [row(0, 'a', 'dead')]), 2000)).toBe(true);
  expect(made.byId.get('a')?.state).toBe('alive');
  made.update(update(8, [row(0, 'a', 'dead')]), 2000);
  expect(made.byId.get('a')?.state).toBe('dead');
});

test('what was heard reaches its publisher, and a publisher not known here is told of', () => {
  const made = fleet(row(0, 'a', 'alive'));
  expect(made.update(update(8, [], [[0, 1_795_230_730, 0.5, 2, 11, 1, 0, 0]]), 3000)).toBe(true);
  expect(made.byId.get('a')).toMatchObject({ heard: 1_795_230_730_000, silence_s: 0.5, at: 3000, rate: 2, messages: 11, missed: 1 });
  expect(made.update(update(9, [], [[5, null, null, 0, 0, 0, 0, 0]]), 3000)).toBe(false);
});

test('silence grows with the monotonic clock, and stands still when the stream is cut', () => {
  const made = fleet(row(0, 'a', 'alive'), row(1, 'b', 'unseen', { silence_s: null, last_heard: null }));
  const [a, b] = [made.byId.get('a'), made.byId.get('b')];
  if (!a || !b) throw new Error('both are known');
  expect([made.silence(a, 1000), made.silence(a, 3500), made.silence(b, 3500)]).toEqual([1, 3.5, null]);
  made.frozen = 2000;
  expect(made.silence(a, 3500)).toBe(2);
});

test('an entry stays the same object over snapshots, and one that is gone is forgotten', () => {
  const made = fleet(row(0, 'a', 'alive'), row(1, 'b', 'alive'));
  const before = made.byId.get('a');
  made.replace(snapshot(1, [row(0, 'a', 'dead')]), 2000);
  expect(made.byId.get('a')).toBe(before);
  expect([...made.byId.keys()]).toEqual(['a']);
});

const ids = (made: Fleet, search: string): string => arrange(made.byId.values(), parse(search), 1000).map((entry) => entry.id).join(' ');
const mixed = (): Fleet => fleet(
  row(0, 'pump-10', 'alive', { rate: 3, silence_s: 10 }), row(1, 'pump-9', 'alive', { rate: 1, silence_s: 40 }), row(2, 'gate', 'finished', { rate: 0 }),
  row(3, 'door', 'dead', { host: 'Web-1', silence_s: 90 }), row(4, 'cam', 'unseen', { silence_s: null, last_heard: null }), row(5, 'ram', 'failed'),
);

test('trouble comes first, then names, in which numbers count as numbers', () => {
  expect(ids(mixed(), '')).toBe('door ram cam pump-9 pump-10 gate');
});

test('a column sorts both ways; ties go by name; never heard is the longest silence', () => {
  expect(ids(mixed(), '?sort=-rate')).toBe('pump-10 cam door pump-9 ram gate');
  expect(ids(mixed(), '?sort=-silence')).toBe('cam door pump-9 pump-10 gate ram');
  expect(ids(mixed(), '?sort=heard')).toBe('gate ram pump-10 pump-9 door cam');
});

test('states and words filter; every word must be in the id or the host', () => {
  expect(ids(mixed(), '?state=dead,failed')).toBe('door ram');
  expect(ids(mixed(), '?q=web-1')).toBe('door');
  expect(ids(mixed(), '?q=pump+10')).toBe('pump-10');
});

test('a question survives the address, and what is unknown in it is left out', () => {
  for (const search of ['', '?q=a+b', '?state=dead,silent', '?sort=-rate', '?q=x&state=blind&sort=id', '?sort=-state']) expect(render(parse(search))).toBe(search);
  expect(render(parse('?state=asleep&sort=colour'))).toBe('');
});

test('the title names the worst first', () => {
  expect(summary({ alive: 31, dead: 1 })).toBe('✖ 1 dead · 31 alive');
  expect(summary({ alive: 2, finished: 3 })).toBe('2 alive');
});

test('of too many publishers the figures of the whole are known, and a change of that is told', () => {
  const made = fleet(row(0, 'a', 'alive'));
  expect([made.paged, made.size]).toEqual([false, 1]);
  const many = { all_told: false, states: { alive: 900_000, dead: 2 } };
  expect(made.update({ ...update(8, []), ...many }, 2000)).toBe(false);
  made.replace({ ...snapshot(8, []), ...many }, 2000);
  expect([made.paged, made.size, made.byId.size]).toEqual([true, 900_002, 0]);
  expect(made.update({ ...update(9, []), ...many, states: { alive: 1 } }, 3000)).toBe(true);
  made.take(row(5, 'b', 'paused'), 3000);
  expect([made.size, made.byId.size]).toEqual([1, 0]);
});
