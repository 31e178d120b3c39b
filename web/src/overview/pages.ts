// The rows in sight where there are more publishers than a page can hold: asked for as the reader scrolls, and again while they are looked at.
import { found } from '../api';
import { entered } from '../fleet';
import type { Entry } from '../fleet';
import type { Question } from '../order';

/** As old as this they are asked for anew. */
const FRESH_MS = 2_000;
/** Rows above and below those in sight. */
const SPARE = 50;
/** More than this is not shown: a browser's page has an end, and so has who scrolls. */
export const MOST = 100_000;

export class Pages {
  /** A hole is one that is not in sight. */
  rows: (Entry | undefined)[] = [];
  /** How many match in all. */
  matching: number | null = null;
  private asked = '';
  private from = 0;
  private to = 0;
  private at = -Infinity;
  private asking: AbortController | null = null;

  constructor(private readonly done: () => void) {}

  /** Asks for the rows at these places unless they are known and fresh. One request at a time; another question ends the one before. */
  async want(question: Question, from: number, to: number): Promise<void> {
    const { column, down } = question.sort, state = [...question.states].join(','), sort = (down ? '-' : '') + column;
    const asked = JSON.stringify([question.text, state, sort]), now = performance.now();
    const known = asked === this.asked && from >= this.from && Math.min(to, this.matching ?? to, MOST) <= this.to;
    if ((known && now - this.at < FRESH_MS) || (this.asking && asked === this.asked)) return;
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    this.asked = asked;
    const offset = Math.max(0, Math.min(from, MOST) - SPARE), limit = Math.min(MOST, to + SPARE) - offset;
    try {
      const answer = await found({ search: question.text, state, sort, offset, limit }, asking.signal);
      if (this.asking !== asking) return;
      this.take(answer.publishers.map((row) => entered(row, performance.now())), offset, answer.matching);
      [this.from, this.to, this.at] = [offset, offset + limit, performance.now()];
      this.done();
    } catch {
      // The stream tells when the server is away. Until the next try what is known stands.
      if (this.asking === asking) this.at = performance.now();
    } finally {
      if (this.asking === asking) this.asking = null;
    }
  }

  destroy(): void {
    this.asking?.abort();
  }

  /** An entry stays the same object while it is in sight. */
  private take(entries: Entry[], offset: number, matching: number): void {
    const before = new Map<string, Entry>();
    for (let place = this.from; place < Math.min(this.to, this.rows.length); place++) {
      const entry = this.rows[place];
      if (entry) before.set(entry.id, entry);
    }
    this.matching = matching;
    this.rows = new Array<Entry | undefined>(Math.min(matching, MOST));
    entries.forEach((entry, i) => (this.rows[offset + i] = Object.assign(before.get(entry.id) ?? entry, entry)));
  }
}
