// One row of the table: made once, then shown for one publisher after the other as the reader scrolls.
import type { Entry, Fleet } from '../fleet';
import { attribute, h, svg, text } from '../dom';
import { brief, count, exact, rate, span, thresholds } from '../format';
import { mark, remark } from '../mark';
import { link } from '../router';
import { UNMEASURED } from '../states';
import { shape } from './spark';

/** The bar ends at this many thresholds. */
const BAR_END = 1.5;

export class RowView {
  readonly root: HTMLElement;
  entry: Entry | null = null;
  private readonly mark = mark('alive');
  private readonly word = h('span', {});
  private readonly name = h('a', { tabindex: -1 });
  private readonly host = h('span', { role: 'gridcell', class: 'c-host' });
  private readonly cause = h('span', { role: 'gridcell', class: 'c-cause' });
  private readonly heard = h('time');
  private readonly fill = h('i', { class: 'fill' });
  private readonly share = h('span', { class: 'share' });
  private readonly rate = h('span', { role: 'gridcell', class: 'c-rate' });
  private readonly missed = h('span', { role: 'gridcell', class: 'c-missed' });
  private readonly line = svg('path', { class: 'line' });
  private readonly area = svg('path', { class: 'area' });
  private width = -1;
  private heardAt: number | null = null;

  constructor(id: string) {
    const spark = svg('svg', { viewBox: '0 0 100 20', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.area, this.line);
    const silence = h('span', { role: 'gridcell', class: 'c-silence' }, h('span', { class: 'rail' }, this.fill, h('i', { class: 'tick' })), this.share);
    this.root = h('div', { role: 'row', class: 'row', id },
      h('span', { role: 'gridcell', class: 'c-state' }, this.mark, this.word),
      h('span', { role: 'gridcell', class: 'c-id' }, this.name), this.host, this.cause,
      h('span', { role: 'gridcell', class: 'c-heard' }, this.heard), silence, this.rate, this.missed,
      h('span', { role: 'gridcell', class: 'c-spark' }, spark));
  }

  /** Shows a publisher at a place of the table. */
  bind(entry: Entry, place: number, height: number): void {
    this.root.style.transform = `translateY(${place * height}px)`;
    attribute(this.root, 'aria-rowindex', String(place + 2));
    if (this.entry !== entry) {
      this.entry = entry;
      this.heardAt = null;
      this.spark(null);
      text(this.name, entry.id);
      attribute(this.name, 'href', link(entry.id));
      attribute(this.name, 'title', entry.id);
    }
    this.update();
  }

  /** Shows what its entry holds now. */
  update(): void {
    const entry = this.entry;
    if (!entry) return;
    attribute(this.root, 'data-state', entry.state);
    remark(this.mark, entry.state);
    text(this.word, entry.state);
    text(this.host, entry.host ?? '–');
    text(this.cause, entry.reason);
    attribute(this.cause, 'title', entry.reason);
    attribute(this.cause, 'data-word', entry.state);
    text(this.rate, rate(entry.rate));
    attribute(this.rate, 'data-none', entry.rate > 0 ? null : '');
    const lost = entry.missed + entry.duplicates;
    text(this.missed, lost ? `${count(entry.missed)} / ${count(entry.duplicates)}` : '0');
    attribute(this.missed, 'data-none', lost ? null : '');
    attribute(this.cause, 'data-lost', entry.missed ? count(entry.missed) : null);
  }

  /** What changes with time alone. `now` is `performance.now()`. */
  tick(fleet: Fleet, now: number): void {
    const entry = this.entry;
    if (!entry) return;
    const silence = fleet.silence(entry, now);
    text(this.heard, silence === null ? 'never' : silence < 1 ? 'now' : `${brief(silence)} ago`);
    if (this.heardAt !== entry.heard) {
      this.heardAt = entry.heard;
      const at = entry.heard === null ? null : new Date(entry.heard);
      attribute(this.heard, 'datetime', at && at.toISOString());
      attribute(this.heard, 'title', at && exact(at));
    }
    const measured = silence !== null && !UNMEASURED.has(entry.state);
    const share = measured ? silence / entry.threshold_s : 0;
    const width = Math.round((Math.min(share, BAR_END) / BAR_END) * 200) / 200;
    if (width !== this.width) {
      this.width = width;
      this.fill.style.transform = `scaleX(${width})`;
    }
    attribute(this.root, 'data-past', share >= 1 ? 'over' : share >= 0.8 ? 'near' : null);
    text(this.share, measured ? thresholds(share) : '');
    attribute(this.share, 'title', measured ? `silent for ${span(silence)} of ${span(entry.threshold_s)}` : null);
  }

  spark(values: readonly (number | null)[] | null): void {
    const drawn = shape(values ?? []);
    attribute(this.line, 'd', drawn.line);
    attribute(this.area, 'd', drawn.area);
  }
}
