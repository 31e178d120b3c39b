import { expect, test } from 'vitest';
import { brief, local, percent, rate, span, thresholds, ticks, trip, value } from '../src/format';

test('spans are told in at most two units, and never in sixty of one', () => {
  const told: [number, string][] = [
    [0, '0 s'], [0.004, '4 ms'], [0.4, '0.4 s'], [4.7, '4.7 s'], [5, '5 s'], [59.4, '59 s'], [59.6, '59 s'], [60, '1 min'], [200, '3 min 20 s'],
    [3599.9, '59 min 59 s'], [3600, '1 h'], [8040, '2 h 14 min'], [86_399, '23 h 59 min'], [273_600, '3 d 4 h'],
  ];
  for (const [seconds, text] of told) expect(span(seconds)).toBe(text);
});

test('a narrow column has one unit', () => {
  expect([0, 59.9, 60, 7199, 172_799, 172_800].map(brief)).toEqual(['0 s', '59 s', '1 min', '1 h', '47 h', '2 d']);
});

test('a silence is never rounded up to its threshold', () => {
  expect([0.999, 1, 1.999, 2.19, 9.99, 10.9, 1000].map(thresholds)).toEqual(['99 %', '100 %', '199 %', '2.1 ×', '9.9 ×', '10 ×', '>999 ×']);
});

test('a share is 100 % only when it is whole, and 0 % only when there is none', () => {
  expect([1, 0.999_99, 0.9931, 0.000_01, 0].map(percent)).toEqual(['100 %', '99.99 %', '99.31 %', '0.01 %', '0 %']);
});

test('a rate above nothing is not told as 0', () => {
  expect([0, 0.001, 0.2, 1.02, 99.99, 1204].map(rate)).toEqual(['0', '<0.01', '0.20', '1.0', '100', '1,204']);
});

test('values keep what matters', () => {
  expect([null, true, 'warm', 1204, -3, 0.1 + 0.2, 1.5e-7].map((v) => value(v))).toEqual(['–', 'true', 'warm', '1,204', '−3', '0.3', '1.500e-7']);
  expect([9_999_999, 10_000_000, 25_276_514_304, -2.5e18].map((v) => value(v))).toEqual(['9,999,999', '10 M', '25.277 G', '−2.500e+18']);
});

test('neighbours on an axis are told apart', () => {
  expect(ticks([0, 0.5, 1])).toEqual(['0.0', '0.5', '1.0']);
  expect(ticks([-20, 0, 20])).toEqual(['−20', '0', '20']);
  expect(ticks([24_852_000_000, 24_854_000_000])).toEqual(['24.852 G', '24.854 G']);
  expect(ticks([0, 50_000, 100_000])).toEqual(['0 k', '50 k', '100 k']);
  expect(ticks([0.25, 0.5, 0.75])).toEqual(['0.25', '0.50', '0.75']);
  expect(ticks([0, 2.5, 5])).toEqual(['0.0', '2.5', '5.0']);
  expect(ticks([0, 2_500_000, 5_000_000])).toEqual(['0.0 M', '2.5 M', '5.0 M']);
  expect(ticks([7])).toEqual(['7']);
  expect(ticks([])).toEqual([]);
});

test('times within a sentence are told in the reader’s zone', () => {
  const at = new Date(2026, 10, 21, 3, 12, 5), now = new Date(2026, 10, 21, 9, 0, 0);
  expect(local(`no such process (seen ${at.toISOString()}, by pidfd)`, now)).toBe('no such process (seen 03:12:05, by pidfd)');
  const utc = (when: Date): string => when.toISOString().slice(11, 19), yesterday = new Date(2026, 10, 20, 12, 0, 0);
  expect(local(`it ended at ${utc(at)} UTC, after 12 s`, now, at)).toBe('it ended at 03:12:05, after 12 s');
  expect(local(`heard at ${utc(yesterday)} UTC`, now, yesterday)).toBe('heard at 20 Nov 12:00:00');
  expect(local(`until ${yesterday.toISOString().slice(0, 10)} ${utc(yesterday)} UTC`, now, at)).toBe('until 20 Nov 12:00:00');
});

test('round trips are told in the digits that matter, and never as nothing', () => {
  expect([0.04, 2.5, 9.96, 123.4, 999.6, 1000, 12_345].map(trip)).toEqual(['<0.1 ms', '2.5 ms', '10 ms', '123 ms', '1.0 s', '1.0 s', '12.3 s']);
});
