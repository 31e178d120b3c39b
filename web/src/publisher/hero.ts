// Its state, large: what, why, since when, on which evidence; and the buttons that pause it.
import type { Detail, Flip, Row } from '../api';
import type { Entry } from '../fleet';
import { attribute, h, text } from '../dom';
import { exact, local, moment, span, thresholds } from '../format';
import { mark, remark } from '../mark';
import { kind, UNMEASURED } from '../states';
import { Pause } from './pause';

const BAR_END = 1.5;

export class Hero {
  readonly root = h('section', { class: 'hero' });
  private readonly mark = mark('alive');
  private readonly state = h('span', {});
  private readonly reason = h('p', { class: 'reason' });
  private readonly story = h('p', { class: 'story', hidden: true });
  private readonly since = h('p', { class: 'since' });
  private readonly evidence = h('ul', { class: 'evidence' });
  private readonly bar = h('div', { class: 'silence' });
  private readonly silence = h('p', { class: 'silence-text' });
  private readonly fill = h('i', { class: 'fill' });
  private readonly pause: Pause;
  private told = '';

  constructor(id: string, changed: (row: Row) => void) {
    this.pause = new Pause(id, changed);
    this.bar.append(h('span', { class: 'rail' }, this.fill, h('i', { class: 'tick' })), this.silence);
    this.root.append(
      h('div', { class: 'hero-main' }, h('h1', {}, h('span', { class: 'hero-id' }, id), h('span', { class: 'hero-state' }, this.mark, this.state)),
        this.reason, this.story, this.since, this.evidence),
      h('div', { class: 'hero-side' }, this.bar, this.pause.root));
  }

  show(entry: Entry, detail: Detail, flip: Flip | null): void {
    attribute(this.root, 'data-state', entry.state);
    remark(this.mark, entry.state);
    text(this.state, entry.state);
    attribute(this.state, 'title', kind(entry.state).meaning);
    text(this.reason, sentence(entry.state === 'alive' ? 'Heard within its threshold' : entry.reason));
    // The flip that led here, in sentences: what happened, how that is known, what to check.
    const story = entry.state !== 'alive' && flip?.to === entry.state && flip.cause === entry.cause ? local(flip.text, new Date(), new Date(flip.at)) : '';
    text(this.story, story);
    this.story.hidden = story === '';
    this.pause.show(entry.state === 'paused', detail.paused_until);
    // The evidence is that of the state shown: an answer that is older than the state has none for it.
    const evidence = detail.state === entry.state ? detail.evidence : [];
    const told = evidence.map((one) => one.text).join('\n');
    if (told === this.told) return;
    this.told = told;
    this.evidence.replaceChildren(...evidence.map((one) => h('li', { title: one.text }, sentence(local(one.text, new Date())))));
  }

  tick(entry: Entry, silence: number | null): void {
    const since = new Date(entry.since), now = new Date();
    text(this.since, `${entry.state[0]?.toUpperCase()}${entry.state.slice(1)} since ${moment(since, now)}, for ${span(Math.round((now.getTime() - since.getTime()) / 1000))}.`);
    attribute(this.since, 'title', exact(since));
    const share = silence === null ? 0 : silence / entry.threshold_s;
    const measured = silence !== null && !UNMEASURED.has(entry.state);
    this.fill.style.transform = `scaleX(${measured ? Math.min(share, BAR_END) / BAR_END : 0})`;
    attribute(this.root, 'data-past', !measured ? null : share >= 1 ? 'over' : share >= 0.8 ? 'near' : null);
    const quiet = silence === null ? '' : span(Math.floor(silence));
    text(this.silence, silence === null ? 'Never heard.' : !measured ? `Last heard ${quiet} ago.` : `Silent for ${quiet}, ${thresholds(share)}${share < 2 ? ' of' : ''} its threshold of ${span(entry.threshold_s)}.`);
  }
}

/** `no such process (…)` as a sentence. */
function sentence(phrase: string): string {
  const first = phrase.charAt(0).toUpperCase() + phrase.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
