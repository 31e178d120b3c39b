// The swarm: targets by agents, so that a glance tells whether it is the target (a row) or the agent (a column).
import * as api from '../api';
import type { AgentStand, Swarm, TargetStand } from '../api';
import type { View } from '../main';
import type { Stream } from '../stream';
import { h, text } from '../dom';
import { exact, moment } from '../format';
import { link } from '../router';
import { agents, cell, placed, summary, targets } from './judge';

/** Results are asked for so often; what is judged anew shows at once. */
const EVERY_MS = 5_000;
/** So many are told in words: the matrix has to stay in sight. */
const MOST_TOLD = 10;

export class SwarmView implements View {
  readonly what = 'Swarm';
  readonly root = h('main', { class: 'page swarm' });
  readonly tools = h('div', { class: 'crumb' }, h('a', { href: '/' }, '← All publishers'));
  private readonly said = h('p', { class: 'swarm-summary', role: 'status' }, 'Loading…');
  private readonly trouble = h('ul', { class: 'swarm-trouble' });
  private readonly matrix = h('div', { class: 'matrix-box', tabindex: 0, role: 'region', 'aria-label': 'Targets by agents' });
  private readonly stop = new AbortController();
  private readonly end: () => void;
  private readonly timer: number;
  private shown = '';
  private again = false;
  private asking = false;

  constructor(stream: Stream) {
    this.root.append(h('h1', {}, 'Is it the target or the agent?'), this.said, this.trouble, this.matrix, key());
    this.end = stream.judged.listen(() => void this.ask());
    this.timer = setInterval(() => document.hidden || void this.ask(), EVERY_MS);
    void this.ask();
  }

  destroy(): void {
    this.stop.abort();
    this.end();
    clearInterval(this.timer);
  }

  private async ask(): Promise<void> {
    this.again = this.asking;
    if (this.asking) return;
    this.asking = true;
    try {
      this.show(await api.swarm(this.stop.signal));
    } catch (error) {
      if (this.stop.signal.aborted) return;
      text(this.said, `The swarm could not be fetched: ${error instanceof Error ? error.message : String(error)}.`);
    } finally {
      this.asking = false;
    }
    if (this.again) void this.ask();
  }

  private show(swarm: Swarm): void {
    const { now, ...rest } = swarm, told = JSON.stringify(rest);
    if (told === this.shown) return;
    this.shown = told;
    if (!swarm.targets.length) {
      text(this.said, 'No agent has measured anything yet. Start one: lastbeat-publisher ping --to mqtt://broker.example a.example');
      this.trouble.replaceChildren();
      this.matrix.replaceChildren();
      return;
    }
    text(this.said, summary(swarm));
    const rows = targets(swarm), columns = agents(swarm), at = new Date(now);
    const wrong = [...rows.filter((one) => one.reach !== 'all' || one.level !== 'well'), ...columns.filter((one) => one.link === 'down' || one.link === 'unclear')];
    const more = wrong.length - MOST_TOLD;
    this.trouble.replaceChildren(...wrong.slice(0, MOST_TOLD).map((one) => h('li', { ...stand(one) }, one.text, ' ', since(one, at))));
    if (more > 0) this.trouble.append(h('li', {}, `and ${more} more, below`));
    this.matrix.replaceChildren(this.table(swarm, rows, columns));
  }

  private table(swarm: Swarm, rows: TargetStand[], columns: AgentStand[]): HTMLElement {
    const results = placed(swarm);
    const head = columns.map((one) => h('th', { scope: 'col', 'data-link': one.link, title: one.text },
      h('a', { href: link(`agent/${one.agent}`) }, one.agent), one.link === 'down' && h('span', { class: 'own' }, 'own link')));
    const body = rows.map((row) => h('tr', { ...stand(row) },
      h('th', { scope: 'row', title: row.text }, h('div', { class: 'name' }, h('span', { class: 'target' }, row.target),
        h('span', { class: 'reach' }, row.reach === 'unknown' || row.reach === 'unclear' ? row.reach : `${row.reaching}/${row.witnesses}`))),
      ...columns.map((column) => {
        const { grade, short, told } = cell(results.get(row.target)?.get(column.agent));
        return h('td', { 'data-grade': grade, 'data-link': column.link, title: `${row.target} from ${column.agent}: ${told}` },
          h('span', { 'aria-hidden': 'true' }, short), h('span', { class: 'unseen-text' }, told));
      })));
    return h('table', { class: 'matrix' }, h('caption', { class: 'unseen-text' }, 'What each agent found out last about each target'),
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Target, and how many reach it'), ...head)), h('tbody', {}, ...body));
  }
}

/** What its colours follow from. */
const stand = (one: TargetStand | AgentStand): Record<string, string> =>
  'level' in one ? { 'data-level': one.level, 'data-reach': one.reach } : { 'data-level': 'warn' };

function since(one: TargetStand | AgentStand, now: Date): HTMLElement {
  const at = new Date(one.since);
  return h('time', { datetime: one.since, title: exact(at) }, `since ${moment(at, now)}`);
}

function key(): HTMLElement {
  const shown = [['well', '12', 'reached, mean round trip in ms'], ['warn', '250', 'slow or lossy'], ['critical', '1.2 s', 'very slow'],
    ['failed', '100 %', 'not reached, so much lost'], ['unmeasured', '?', 'could not be measured'], ['stale', '–', 'too old to count']] as const;
  return h('ul', { class: 'swarm-key', 'aria-label': 'Key' }, ...shown.map(([grade, short, what]) =>
    h('li', {}, h('i', { 'data-grade': grade }, short), what)));
}
