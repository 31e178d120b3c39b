// The frame of every view: name, connection, colours; below it what is wrong with the watchdog itself.
import { swarm } from './api';
import type { Connection, Stream } from './stream';
import type { Fleet } from './fleet';
import type { View } from './main';
import { attribute, h, svg, text } from './dom';
import { bytes, moment } from './format';
import { tab } from './tab';
import { toggle } from './theme';

/** Agents may begin at any time; what they find is told as it comes. */
const SWARM_EVERY_MS = 30_000;

export class Shell {
  readonly root = h('div', { class: 'shell' });
  private readonly tools = h('div', { class: 'tools' });
  private readonly pill = h('span', { class: 'pill', role: 'status' });
  private readonly notices = h('div', { class: 'notices' });
  private readonly body = h('div', { class: 'body' });
  private readonly swarm = h('a', { href: '/swarm', class: 'to-swarm', hidden: true }, 'Swarm');
  private view: View | null = null;
  private said = '';

  constructor(private readonly fleet: Fleet, private readonly stream: Stream) {
    const header = h('header', { class: 'top' }, brand(), this.tools, this.swarm, this.pill, toggle());
    this.root.append(header, this.notices, this.body);
    fleet.changed.listen(() => this.update());
    stream.changed.listen(() => this.update());
    setInterval(() => this.stream.connection.kind === 'cut' && this.update(), 1000);
    // What sticks below the header sticks below the notices, too.
    new ResizeObserver(() => document.documentElement.style.setProperty('--notices', `${this.notices.offsetHeight}px`)).observe(this.notices);
    const look = (): void => void this.look();
    stream.changed.listen((connection) => connection.kind === 'live' && look());
    stream.judged.listen(look);
    setInterval(() => document.hidden || stream.connection.kind !== 'live' || look(), SWARM_EVERY_MS);
    this.update();
  }

  /** Where there is a swarm, the way to it shows how it stands. */
  private async look(): Promise<void> {
    try {
      const { targets } = await swarm();
      const level = ['critical', 'warn', 'well'].find((level) => targets.some((one) => one.level === level)) ?? null;
      attribute(this.swarm, 'data-level', level);
      this.swarm.hidden = level === null;
    } catch {
      // The stream tells what is wrong.
    }
  }

  show(view: View): void {
    this.view = view;
    this.tools.replaceChildren(view.tools);
    this.body.replaceChildren(this.stream.connection.kind === 'locked' ? locked() : view.root);
    this.update();
  }

  private update(): void {
    const { connection } = this.stream, { figures } = this.fleet;
    tab(figures?.states, connection, this.view?.what ?? null);
    attribute(document.documentElement, 'data-stream', connection.kind);
    attribute(this.pill, 'data-kind', connection.kind);
    text(this.pill, { connecting: 'connecting', live: 'live', cut: 'cut', locked: 'log in' }[connection.kind]);
    if (connection.kind === 'locked' && !this.body.querySelector('.locked')) this.body.replaceChildren(locked());
    const told = [...this.cut(connection), ...this.blindness(), ...this.followers()];
    const said = JSON.stringify(told);
    if (said === this.said) return;
    const before = JSON.parse(this.said || '[]') as Notice[];
    this.said = said;
    // A notice that only counts down keeps its elements, so that a screen reader hears it once.
    if (before.length === told.length && before.every((one, i) => one.key === told[i]?.key)) {
      told.forEach((one, i) => {
        const shown = this.notices.children[i];
        if (!shown) return;
        text(shown.querySelector('strong') as Element, one.head);
        text(shown.querySelector('.rest') as Element, one.rest);
        text(shown.querySelector('.after') as Element, one.after ?? '');
      });
    } else {
      this.notices.replaceChildren(...told.map((one) => this.notice(one)));
    }
  }

  private notice(one: Notice): HTMLElement {
    const retry = one.retry && h('button', { type: 'button', class: 'quiet', onclick: () => this.stream.retry() }, 'Try now');
    return h('div', { class: 'notice', 'data-kind': one.kind, role: one.kind === 'bad' ? 'alert' : 'status' },
      h('p', {}, h('strong', {}, one.head), ' ', h('span', { class: 'rest' }, one.rest), ' ',
        h('span', { class: 'after', 'aria-hidden': 'true' }, one.after ?? '')), retry);
  }

  private cut(connection: Connection): Notice[] {
    if (connection.kind !== 'cut') return [];
    const wait = connection.retry === null ? 0 : Math.ceil((connection.retry - performance.now()) / 1000);
    const since = moment(new Date(connection.since), new Date());
    const rest = this.fleet.figures ? 'What is shown was known then; nothing here is newer.' : `Nothing is known yet: ${connection.why}.`;
    return [{ key: 'cut', kind: 'bad', head: `Stream cut since ${since}.`, rest, after: wait > 0 ? `Next try in ${wait} s.` : 'Trying…', retry: true }];
  }

  private blindness(): Notice[] {
    const figures = this.fleet.figures, down = figures?.links.filter((link) => !link.up) ?? [];
    if (!figures || !down.length) return [];
    const blind = figures.states.blind ?? 0;
    const told = down.map((link) => link.name + (link.reason ? ` (${link.reason.replace(`${link.name}: `, '')})` : '')).join(', ');
    const who = blind === 0 ? 'No publisher is blind for it.' : `${blind === 1 ? '1 publisher is' : `${blind} publishers are`} blind: nobody can say how ${blind === 1 ? 'it is' : 'they are'}.`;
    return [{ key: 'links', kind: 'bad', head: `The watchdog’s own ${down.length === 1 ? 'link is' : 'links are'} down:`, rest: `${told}. ${who}` }];
  }

  private followers(): Notice[] {
    const figures = this.fleet.figures;
    if (!figures) return [];
    const told: Notice[] = figures.followers.filter((one) => one.trouble !== null).map((one) => ({
      key: `follower ${one.name}`, kind: 'warn', head: `${one.name} is in trouble:`,
      rest: `${one.trouble}. ${bytes(one.behind_bytes)} wait on disk${one.set_aside ? `, ${one.set_aside} set aside` : ''}.`,
    }));
    const lost = figures.totals.not_kept;
    if (lost) told.unshift({ key: 'lost', kind: 'bad', head: `${lost} messages were not kept.`, rest: 'The disk took no more of them; verdicts go on.' });
    return told;
  }
}

interface Notice { key: string; kind: 'bad' | 'warn'; head: string; rest: string; after?: string; retry?: boolean }

function brand(): HTMLAnchorElement {
  const line = svg('svg', { viewBox: '0 0 30 24', class: 'beat', 'aria-hidden': 'true' },
    svg('path', { d: 'M1 13h6l3.2-9 5 16 3-7H23', fill: 'none', stroke: 'currentColor', 'stroke-width': 2.4, 'stroke-linecap': 'round', 'stroke-linejoin': 'round' }),
    svg('circle', { cx: 27, cy: 13, r: 2.4, class: 'last' }));
  return h('a', { href: '/', class: 'brand', 'aria-label': 'Lastbeat, all publishers' }, line, h('span', {}, 'lastbeat'));
}

function locked(): HTMLElement {
  return h('main', { class: 'page note locked' }, h('h1', {}, 'Log in'),
    h('p', {}, 'This watchdog wants a user and a password, or a token as the password. Your browser asks for them when the page loads.'),
    h('p', {}, h('button', { type: 'button', class: 'loud', onclick: () => location.reload() }, 'Reload and log in')));
}
