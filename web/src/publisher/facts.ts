// Figures beside the charts: counts, process, threshold, and every field's latest value.
import type { Detail } from '../api';
import type { Entry } from '../fleet';
import { attribute, h, text } from '../dom';
import { count, exact, moment, rate, span, value, zone } from '../format';

/** Counts where anything but 0 is worth a look. */
const ODD = new Set(['missed', 'duplicates', 'late', 'refused', 'conflicts']);
const COUNTS = ['messages', 'readings', 'missed', 'duplicates', 'late', 'refused', 'retained', 'restarts', 'conflicts'] as const;

export class Facts {
  readonly root = h('div', { class: 'facts' });
  private readonly values = new Map<string, HTMLElement>();
  private readonly counts = h('dl', { class: 'pairs' });
  private readonly about = h('dl', { class: 'pairs' });
  private readonly fields = h('div', { class: 'fields' });
  private shown = '';

  constructor() {
    this.root.append(h('section', {}, h('h2', {}, 'Counts'), this.counts), h('section', {}, h('h2', {}, 'About'), this.about), this.fields);
  }

  show(entry: Entry, detail: Detail): void {
    this.pair(this.counts, 'rate', `${rate(entry.rate)} messages/s`);
    for (const name of COUNTS) {
      const dd = this.pair(this.counts, name, count(entry[name]));
      attribute(dd, 'data-odd', ODD.has(name) && entry[name] > 0 ? '' : null);
      attribute(dd, 'data-none', entry[name] === 0 ? '' : null);
    }
    this.pair(this.about, 'threshold', `${span(entry.threshold_s)}${adaptive(detail)}`);
    this.pair(this.about, 'host', entry.host ?? 'never told');
    this.pair(this.about, 'process', entry.pid === null ? 'never told' : `PID ${entry.pid}`);
    if (detail.process) {
      this.pair(this.about, 'host id', String(detail.process.host)).className = 'code';
      this.pair(this.about, 'boot', String(detail.process.boot)).className = 'code';
      if (detail.process.pidns) this.pair(this.about, 'PID namespace', String(detail.process.pidns));
      this.pair(this.about, 'started', `${detail.process.start} ticks`);
    }
    const heard = entry.heard === null ? null : new Date(entry.heard), now = new Date();
    attribute(this.pair(this.about, 'last heard', heard ? moment(heard, now) : 'never'), 'title', heard && exact(heard));
    this.pair(this.about, 'times shown in', zone(now));
    this.latest(detail, now);
  }

  private pair(list: HTMLElement, name: string, told: string): HTMLElement {
    let dd = this.values.get(name);
    if (!dd) {
      dd = h('dd');
      this.values.set(name, dd);
      list.append(h('div', {}, h('dt', {}, name), dd));
    }
    text(dd, told);
    return dd;
  }

  private latest(detail: Detail, now: Date): void {
    const shown = JSON.stringify(detail.fields);
    if (shown === this.shown || !detail.fields.length) return;
    this.shown = shown;
    const scroll = this.fields.querySelector('.scroll')?.scrollTop ?? 0;
    const rows = detail.fields.map((field) => {
      const at = field.latest_at === null ? null : new Date(field.latest_at);
      return h('tr', {}, h('th', { scope: 'row' }, field.name), h('td', { class: field.type, title: `${field.latest ?? 'never'} (${field.type})` }, value(field.latest)),
        h('td', { class: 'when', title: at && exact(at) }, at ? moment(at, now) : ''));
    });
    this.fields.replaceChildren(h('h2', {}, `Latest values`), h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Latest values' },
      h('table', {}, h('thead', {}, h('tr', {}, ...['Field', 'Value', 'At'].map((name) => h('th', { scope: 'col' }, name)))), h('tbody', {}, ...rows))));
    const box = this.fields.querySelector('.scroll');
    if (box) box.scrollTop = scroll;
  }
}

/** What an adaptive threshold rests on: `, learned from 5,000 gaps, usually 1 s, at most 2 s`. */
function adaptive(detail: Detail): string {
  if (!detail.adaptive) return '';
  const { gaps, usual_s, longest_s, phi } = detail.adaptive;
  if (phi === null) return `, adaptive: only ${count(gaps)} gaps were seen`;
  return `, learned from ${count(gaps)} gaps, usually ${span(usual_s)}, at most ${span(longest_s)}`;
}
