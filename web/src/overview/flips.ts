// The last few flips, and their announcement to those who don't see them.
import { flips } from '../api';
import type { Flip } from '../api';
import { framed, h } from '../dom';
import { exact, local, moment } from '../format';
import { badge } from '../mark';
import { link } from '../router';

const SHOWN = 5;
const GATHER_MS = 1_500;

export class FlipList {
  readonly root = h('section', { class: 'flips', 'aria-labelledby': 'flips-head' });
  private readonly list = h('ol', {});
  private readonly said = h('p', { class: 'unseen-text', 'aria-live': 'polite' });
  private shown: Flip[] = [];
  private gathered: Flip[] = [];
  private timer = 0;
  /** Many may come at once. */
  private readonly draw = framed(() => this.render());
  private readonly stop = new AbortController();

  constructor() {
    this.root.append(h('h2', { id: 'flips-head' }, 'Latest flips'), this.list, this.said);
    this.root.hidden = true;
    flips(null, SHOWN, null, this.stop.signal).then(
      (answer) => this.keep([...this.shown, ...answer.flips]),
      () => undefined, // The list fills as flips come.
    );
  }

  add(flip: Flip): void {
    this.keep([flip, ...this.shown]);
    this.gathered.push(flip);
    this.timer ||= setTimeout(() => this.say(), GATHER_MS);
  }

  destroy(): void {
    this.stop.abort();
    clearTimeout(this.timer);
    this.draw.cancel();
  }

  private keep(all: Flip[]): void {
    const seen = new Set<string>();
    const key = (flip: Flip): string => `${flip.noticed_at} ${flip.to} ${flip.publisher}`;
    this.shown = all.filter((flip) => !seen.has(key(flip)) && seen.add(key(flip))).slice(0, SHOWN);
    this.draw();
  }

  private render(): void {
    this.root.hidden = this.shown.length === 0;
    const now = new Date();
    this.list.replaceChildren(...this.shown.map((flip) => {
      const at = new Date(flip.at);
      return h('li', { title: local(flip.text, now, at) }, h('time', { datetime: flip.at, title: exact(at) }, moment(at, now)),
        h('a', { href: link(flip.publisher) }, flip.publisher), badge(flip.to), h('span', { class: 'reason' }, flip.reason));
    }));
  }

  private say(): void {
    this.timer = 0;
    const told = this.gathered.splice(0), first = told.slice(0, 3).map((flip) => `${flip.publisher} is ${flip.to}, ${flip.reason}.`);
    const more = told.length > 3 ? ` And ${told.length - 3} more flips.` : '';
    this.said.textContent = first.join(' ') + more;
  }
}
