import { expect, test } from 'vitest';
import { extent, lines, usualStep } from '../src/publisher/gaps';
import { shape } from '../src/overview/spark';

test('a line breaks where the silence is longer than four steps, and not at four', () => {
  expect(lines([0, 1, 2, 6, 7], { type: 'float', values: [1, 2, 3, 4, 5] })).toEqual({ time: [0, 1, 2, 6, 7], lines: [[1, 2, 3, 4, 5]] });
  expect(lines([0, 1, 2, 6.5, 7.5], { type: 'float', values: [1, 2, 3, 4, 5] })).toEqual({ time: [0, 1, 2, 4.25, 6.5, 7.5], lines: [[1, 2, 3, null, 4, 5]] });
});

test('rows without the field are no gaps of it', () => {
  const told = lines([0, 1, 2, 3, 4], { type: 'float', values: [1, null, 2, null, 3] });
  expect(told).toEqual({ time: [0, 2, 4], lines: [[1, 2, 3]] });
});

test('booleans chart as 0 and 1, texts not at all', () => {
  expect(lines([0, 1], { type: 'boolean', values: [true, false] }).lines).toEqual([[1, 0]]);
  expect(lines([0, 1], { type: 'text', values: ['a', 'b'] }).time).toEqual([]);
});

test('mean, min and max of buckets break together', () => {
  const told = lines([0, 1, 2, 20], { type: 'float', mean: [2, 2, 2, 2], min: [1, 1, 1, 0], max: [3, 3, 9, 3] });
  expect(told.lines).toEqual([[2, 2, 2, null, 2], [1, 1, 1, null, 0], [3, 3, 9, null, 3]]);
  expect(extent(told)).toEqual({ latest: 2, min: 0, max: 9 });
});

test('there is nothing to tell of nothing', () => {
  expect(usualStep([])).toBe(0);
  expect(extent(lines([], { type: 'float', values: [] }))).toBeNull();
  expect(shape([])).toEqual({ line: '', area: '' });
  expect(shape([null, null])).toEqual({ line: '', area: '' });
});

test('a small line has a gap where nothing is known', () => {
  expect(shape([1, null, 1]).line).toBe('M0.0 2.5L0.0 2.5M100.0 2.5L100.0 2.5');
});
