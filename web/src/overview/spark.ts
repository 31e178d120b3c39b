// The small lines of messages per second: fetched for the rows in sight, once a minute.
import { rates } from '../api';

const FRESH_MS = 60_000;
/** More than this is never in sight; the oldest go first. */
const KEPT = 400;
/** Of one request, by the contract. */
const MOST_IDS = 100;

type Line = readonly (number | null)[];

export class Sparks {
  private readonly known = new Map<string, { line: Line; at: number }>();
  private asking: AbortController | null = null;

  line(id: string): Line | null {
    return this.known.get(id)?.line ?? null;
  }

  /** Fetches those that are missing or old, then calls `done`. One request at a time: the reader has scrolled on. */
  async want(ids: readonly string[], done: () => void): Promise<void> {
    const now = performance.now();
    const asked = ids.filter((id) => now - (this.known.get(id)?.at ?? -Infinity) > FRESH_MS).slice(0, MOST_IDS);
    if (!asked.length || this.asking) return;
    const asking = (this.asking = new AbortController());
    try {
      const answer = await rates(asked, asking.signal);
      for (const id of asked) {
        this.known.delete(id);
        this.known.set(id, { line: answer.rates[id] ?? [], at: performance.now() });
      }
      for (const old of this.known.keys()) {
        if (this.known.size <= KEPT) break;
        this.known.delete(old);
      }
      done();
    } catch {
      // The lines are an ornament: when they can't be had the rows stand without. Not asked again before the minute is over.
      if (!asking.signal.aborted) for (const id of asked) this.known.set(id, { line: this.known.get(id)?.line ?? [], at: performance.now() });
    } finally {
      this.asking = null;
    }
  }

  destroy(): void {
    this.asking?.abort();
  }
}

/** The paths of a line in a box of 100 by 20, from zero up; a gap where nothing is known. */
export function shape(line: Line): { line: string; area: string } {
  const top = Math.max(0, ...line.map((v) => v ?? 0)), step = 100 / Math.max(1, line.length - 1);
  let drawn = '', area = '', begun = -1;
  const close = (end: number): void => {
    if (begun >= 0) area += `L${(end * step).toFixed(1)} 20L${(begun * step).toFixed(1)} 20Z`;
    begun = -1;
  };
  line.forEach((v, i) => {
    if (v === null) return close(i - 1);
    const point = `${(i * step).toFixed(1)} ${(18.5 - (top > 0 ? v / top : 0) * 16).toFixed(1)}`;
    // A single point between gaps is drawn as a dot: a line of no length with round ends.
    drawn += begun < 0 ? `M${point}L${point}` : `L${point}`;
    area += begun < 0 ? `M${point}` : `L${point}`;
    if (begun < 0) begun = i;
  });
  close(line.length - 1);
  return { line: drawn, area };
}
