// What a chart draws of a series: the field's own points, with a break wherever it was silent. Pure.
import type { Series } from '../api';

/** Times, and one or three lines (mean, min, max) of the same length; `null` breaks a line. */
export interface Lines {
  time: number[];
  lines: (number | null)[][];
}

/** A silence of more than this many usual steps is a gap. */
const STEPS = 4;

const number = (v: number | boolean | string | null | undefined): number | null =>
  typeof v === 'boolean' ? Number(v) : typeof v === 'number' && Number.isFinite(v) ? v : null;

/** The usual step between points: the median, which a few long silences don't move. 0 for fewer than two points. */
export function usualStep(time: readonly number[]): number {
  const steps = time.slice(1).map((at, i) => at - (time[i] ?? at)).sort((a, b) => a - b);
  return steps[steps.length >> 1] ?? 0;
}

export function lines(time: readonly number[], series: Series): Lines {
  const columns = 'values' in series ? [series.values] : [series.mean, series.min, series.max];
  // Other fields' rows are no gaps of this one: only the times at which it has a value count.
  const kept = time.map((_, i) => i).filter((i) => number(columns[0]?.[i]) !== null);
  const own = kept.map((i) => time[i] ?? 0), most = usualStep(own) * STEPS;
  const out: Lines = { time: [], lines: columns.map(() => []) };
  kept.forEach((i, place) => {
    const at = own[place] ?? 0, before = own[place - 1];
    if (before !== undefined && at - before > most) {
      out.time.push((at + before) / 2);
      for (const line of out.lines) line.push(null);
    }
    out.time.push(at);
    columns.forEach((column, c) => out.lines[c]?.push(number(column[i])));
  });
  return out;
}

export interface Extent { latest: number; min: number; max: number }

/** Of all the lines together; `null` without a single value. */
export function extent({ lines: [main, ...others] }: Lines): Extent | null {
  const latest = main?.findLast((v) => v !== null);
  if (latest === undefined || latest === null) return null;
  let min = latest, max = latest;
  for (const line of [main ?? [], ...others]) {
    for (const v of line) {
      if (v === null) continue;
      if (v < min) min = v;
      if (v > max) max = v;
    }
  }
  return { latest, min, max };
}
