// Maintenance: pausing and resuming, and what came of it.
import { pause, resume } from '../api';
import type { Row } from '../api';
import { attribute, h, text } from '../dom';
import { moment } from '../format';

const SPANS: readonly [string, string | null][] = [['15 min', '15m'], ['1 h', '1h'], ['8 h', '8h'], ['until resumed', null]];

export class Pause {
  readonly root = h('div', { class: 'pause' });
  private readonly resume = h('button', { type: 'button', class: 'loud', onclick: () => void this.act('Resumed: it is watched again.', () => resume(this.id)) }, 'Resume');
  private readonly spans = h('div', { class: 'segments', role: 'group', 'aria-label': 'Pause for' });
  private readonly until = h('p', { class: 'until' });
  private readonly said = h('p', { class: 'said', role: 'status' });
  private readonly label = h('span', { class: 'label' }, 'Pause for');

  constructor(private readonly id: string, private readonly changed: (row: Row) => void) {
    for (const [name, span] of SPANS) {
      const done = span ? `Paused for ${name}: it is not judged until then.` : 'Paused: it is not judged until somebody resumes it.';
      this.spans.append(h('button', { type: 'button', onclick: () => void this.act(done, () => pause(this.id, span)) }, name));
    }
    this.root.append(h('div', { class: 'pause-row' }, this.resume, this.label, this.spans), this.until, this.said);
  }

  show(paused: boolean, until: string | null): void {
    this.resume.hidden = !paused;
    text(this.label, paused ? 'or pause for' : 'Pause for');
    text(this.until, !paused ? '' : until ? `Paused until ${moment(new Date(until), new Date())}.` : 'Paused until somebody resumes it.');
  }

  private async act(done: string, ask: () => Promise<Row>): Promise<void> {
    const buttons = this.root.querySelectorAll('button');
    buttons.forEach((button) => (button.disabled = true));
    this.say('Waiting for the watchdog…', null);
    try {
      this.changed(await ask());
      this.say(done, 'good');
    } catch (error) {
      this.say(`Not done: ${error instanceof Error ? error.message : String(error)}.`, 'bad');
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
  }

  private say(what: string, how: 'good' | 'bad' | null): void {
    attribute(this.said, 'data-kind', how);
    text(this.said, what);
  }
}
