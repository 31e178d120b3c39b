// What a job told with its beats: starts, ends, failures, and the text it posted.
import { log } from '../api';
import type { LogEntry } from '../api';
import { h } from '../dom';
import { exact, moment, span } from '../format';

const WORDS = { start: 'started', beat: 'beat', fail: 'failed', bye: 'said goodbye' } as const;

export class Log {
  readonly root = h('section', { class: 'log', 'aria-labelledby': 'log-head', hidden: true });
  private readonly list = h('ol', { class: 'log-list', tabindex: 0, 'aria-labelledby': 'log-head' });
  private shown = '';

  constructor(private readonly id: string, private readonly signal: AbortSignal) {
    this.root.append(h('h2', { id: 'log-head' }, 'Log'), this.list);
  }

  async load(): Promise<void> {
    try {
      const { entries } = await log(this.id, this.signal);
      const shown = JSON.stringify(entries);
      // Entries that are unfolded stay so as long as nothing is new.
      if (shown === this.shown) return;
      this.shown = shown;
      this.root.hidden = entries.length === 0;
      const now = new Date();
      this.list.replaceChildren(...entries.map((entry, i) => item(entry, now, i === 0)));
    } catch {
      this.root.hidden = true; // Few publishers have a log; the rest of the page says what is wrong.
    }
  }
}

function item(entry: LogEntry, now: Date, open: boolean): HTMLElement {
  const at = new Date(entry.at);
  const head = [h('time', { datetime: entry.at, title: exact(at) }, moment(at, now)), ' ', h('b', { 'data-kind': entry.kind }, WORDS[entry.kind]),
    entry.took_s === null ? null : h('span', { class: 'took' }, ` after ${span(entry.took_s)}`)];
  if (!entry.body) return h('li', { class: 'bare' }, ...head);
  return h('li', {}, h('details', { open }, h('summary', {}, ...head), h('pre', { tabindex: 0 }, entry.body),
    entry.truncated ? h('p', { class: 'hint' }, 'The rest was cut: at most 100 kB are kept.') : null));
}
