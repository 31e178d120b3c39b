// Its flips with their evidence, newest first.
import { flips } from '../api';
import type { Flip } from '../api';
import { h, text } from '../dom';
import { exact, local, moment, span } from '../format';
import { badge } from '../mark';

const PAGE = 20;

export class Flips {
  readonly root = h('section', { class: 'past', 'aria-labelledby': 'past-head', hidden: true });
  private readonly list = h('ol', { class: 'past-list' });
  private readonly more = h('button', { type: 'button', class: 'quiet', hidden: true, onclick: () => void this.older() }, 'Older');
  private readonly told = h('p', { class: 'said', role: 'status' });
  private readonly known = new Map<number, Flip>();
  private next: number | null = null;

  constructor(private readonly id: string, private readonly signal: AbortSignal) {
    this.root.append(h('h2', { id: 'past-head' }, 'Flips'), this.list, this.more, this.told);
  }

  /** The newest page; older ones that were asked for stay. */
  async load(): Promise<void> {
    await this.page(null);
  }

  /** Whether the store told this one. */
  has(flip: Flip): boolean {
    return [...this.known.values()].some((one) => one.noticed_at === flip.noticed_at && one.to === flip.to);
  }

  /** The newest one, as far as the store has told. */
  latest(): Flip | null {
    return this.newest()[0] ?? null;
  }

  private newest(): Flip[] {
    return [...this.known.values()].sort((a, b) => (b.position ?? 0) - (a.position ?? 0));
  }

  private async older(): Promise<void> {
    await this.page(this.next);
  }

  private async page(before: number | null): Promise<void> {
    try {
      const answer = await flips(this.id, PAGE, before, this.signal);
      // A first page that does not reach what is known leaves a hole: begin anew.
      const oldest = Math.min(...answer.flips.map((flip) => flip.position ?? 0));
      const first = before === null && (this.known.size === 0 || oldest > Math.max(...this.known.keys()));
      if (first) this.known.clear();
      if (first || before !== null) this.next = answer.next;
      for (const flip of answer.flips) this.known.set(flip.position ?? 0, flip);
      text(this.told, '');
      this.show();
    } catch (error) {
      if (this.signal.aborted) return;
      this.root.hidden = false;
      text(this.told, `The flips could not be loaded: ${error instanceof Error ? error.message : String(error)}.`);
    }
  }

  private show(): void {
    const now = new Date(), newest = this.newest();
    this.root.hidden = newest.length === 0;
    this.more.hidden = this.next === null;
    this.list.replaceChildren(...newest.map((flip) => item(flip, now)));
  }
}

function item(flip: Flip, now: Date): HTMLElement {
  const at = new Date(flip.at), late = (Date.parse(flip.noticed_at) - at.getTime()) / 1000;
  return h('li', { 'data-state': flip.to },
    h('p', { class: 'when' }, h('time', { datetime: flip.at, title: exact(at) }, moment(at, now)), ' ', badge(flip.from), h('span', { 'aria-label': 'to' }, '→'), badge(flip.to)),
    h('p', {}, local(flip.text, now, at)),
    flip.evidence.length ? h('ul', { class: 'evidence' }, ...flip.evidence.map((one) => h('li', { title: one.text }, local(one.text, now)))) : null,
    late > 1 ? h('p', { class: 'hint' }, `Noticed ${span(late)} after it happened.`) : null);
}
