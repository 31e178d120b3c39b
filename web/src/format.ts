// Figures for people. Pure: `now` is passed in.

const MINUTE = 60, HOUR = 3600, DAY = 86_400;

/** A span in at most two units: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 14 min`, `3 d 4 h`. */
export function span(seconds: number): string {
  const s = Math.max(0, seconds);
  if (s > 0 && s < 0.1) return `${Math.max(1, Math.floor(s * 1000))} ms`;
  if (s < 10) return `${Math.floor(s * 10) / 10} s`;
  if (s < MINUTE) return `${Math.floor(s)} s`;
  const two = (size: number, unit: string, small: number, name: string): string => {
    const parts = Math.floor(s / small), whole = Math.floor(s / size), rest = parts - whole * (size / small);
    return rest ? `${whole} ${unit} ${rest} ${name}` : `${whole} ${unit}`;
  };
  if (s < HOUR) return two(MINUTE, 'min', 1, 's');
  if (s < DAY) return two(HOUR, 'h', MINUTE, 'min');
  return two(DAY, 'd', HOUR, 'h');
}

/** A round trip: `<0.1 ms`, `0.4 ms`, `12 ms`, `1.2 s`. */
export function trip(ms: number): string {
  if (ms >= 999.5) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 0.05) return '<0.1 ms';
  return `${ms >= 9.95 ? Math.round(ms) : ms.toFixed(1)} ms`;
}

/** A span in one unit, for narrow columns: `0 s`, `12 s`, `3 min`, `2 h`, `40 d`. */
export function brief(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  if (s < MINUTE) return `${s} s`;
  if (s < HOUR) return `${Math.floor(s / MINUTE)} min`;
  if (s < 2 * DAY) return `${Math.floor(s / HOUR)} h`;
  return `${Math.floor(s / DAY)} d`;
}

const GROUPS = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
/** `1,204`. */
export const count = (n: number): string => GROUPS.format(n);

/** Messages per second: `0`, `0.02`, `1.2`, `812`. */
export function rate(perSecond: number): string {
  if (perSecond <= 0) return '0';
  if (perSecond < 0.01) return '<0.01';
  return perSecond < 1 ? perSecond.toFixed(2) : perSecond < 99.95 ? perSecond.toFixed(1) : count(perSecond);
}

/** `940 B`, `3.4 MB`. */
export function bytes(n: number): string {
  for (const [size, unit] of [[1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB']] as const) if (n >= size) return `${(n / size).toFixed(1)} ${unit}`;
  return `${Math.round(n)} B`;
}

const SIZES: readonly [number, string][] = [[1e15, 'P'], [1e12, 'T'], [1e9, 'G'], [1e6, 'M']];
const minus = (text: string): string => text.replace(/^-/, '−');

/** A reading's value: whole numbers up to ten million as they are, others in six significant digits; from there on `25.277 G`. */
export function value(v: number | boolean | string | null): string {
  if (v === null) return '–';
  if (typeof v !== 'number') return String(v);
  const size = Math.abs(v), unit = size >= 1e7 ? SIZES.find(([one]) => size >= one) : undefined;
  if (size >= 1e18 || (v !== 0 && size < 1e-4)) return minus(v.toExponential(3));
  if (unit) return minus(`${Number((v / unit[0]).toPrecision(5))} ${unit[1]}`);
  return minus(Number.isInteger(v) ? count(v) : String(Number(v.toPrecision(6))));
}

/** The labels of an axis: in one unit, with the digits that tell neighbours apart. */
export function ticks(values: readonly number[]): string[] {
  const most = Math.max(...values.map(Math.abs), 0), step = Math.abs((values[1] ?? 0) - (values[0] ?? 0)) || most || 1;
  const [size, unit] = (most >= 1e5 && [...SIZES, [1e3, 'k'] as const].find(([one]) => most >= one)) || [1, ''];
  if (most >= 1e18 || step < 1e-6) return values.map((v) => minus(v.toExponential(2)));
  const one = step / size, coarse = Math.max(0, -Math.floor(Math.log10(one) + 1e-9));
  // A step of 25 has a digit more than one of 20.
  const digits = Math.abs(one * 10 ** coarse - Math.round(one * 10 ** coarse)) > 1e-6 ? coarse + 1 : coarse;
  return values.map((v) => minus(`${(v / size).toFixed(Math.min(digits, 9))}${unit && ` ${unit}`}`));
}

/** A silence in thresholds: `82 %`, `138 %`, `7.1 ×`, `605 ×`. Never rounded up to the next threshold. */
export function thresholds(share: number): string {
  if (share < 2) return `${Math.floor(share * 100)} %`;
  if (share >= 1000) return '>999 ×';
  return `${share < 10 ? (Math.floor(share * 10) / 10).toFixed(1) : Math.floor(share)} ×`;
}

/** A share that never rounds to what it is not: 0.99999 is `99.99 %`, 1 is `100 %`. */
export function percent(share: number): string {
  if (share >= 1) return '100 %';
  if (share <= 0) return '0 %';
  return `${Math.max(0.01, Math.floor(share * 10_000) / 100).toFixed(2)} %`;
}

const pad = (n: number): string => String(n).padStart(2, '0');
/** `03:12:05`, in the reader's zone. */
export const clock = (at: Date): string => `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** `20 Nov`, with the year when it is another. */
export function day(at: Date, now: Date): string {
  const text = `${at.getDate()} ${MONTHS[at.getMonth()]}`;
  return at.getFullYear() === now.getFullYear() ? text : `${text} ${at.getFullYear()}`;
}
/** `03:12:05` today, else `20 Nov 03:12:05`. */
export function moment(at: Date, now: Date): string {
  return at.toDateString() === now.toDateString() ? clock(at) : `${day(at, now)} ${clock(at)}`;
}
/** For a tooltip: local time with its zone, and UTC. */
export function exact(at: Date): string {
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${clock(at)} (${zone(at)}), ${at.toISOString()}`;
}
/** A sentence of the server's with its UTC times told in the reader's zone, as all others on the page are. Times without a day are of the day of `at`. */
export function local(sentence: string, now: Date, at = now): string {
  return sentence.replace(/(?:(\d{4}-\d\d-\d\d)[T ])?(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z| UTC)/g,
    (_, date: string | undefined, time: string) => moment(new Date(`${date ?? at.toISOString().slice(0, 10)}T${time}Z`), now));
}
/** `UTC+2`. */
export function zone(at: Date): string {
  const minutes = -at.getTimezoneOffset(), size = Math.abs(minutes);
  if (minutes === 0) return 'UTC';
  return `UTC${minutes < 0 ? '−' : '+'}${Math.floor(size / 60)}${size % 60 ? `:${pad(size % 60)}` : ''}`;
}
