// How many are in each state: buttons that filter, and one bar of their shares.
import type { State, States } from '../api';
import { attribute, h, text } from '../dom';
import { count } from '../format';
import { mark } from '../mark';
import { STATES, kind } from '../states';

export class Chips {
  readonly root = h('div', { class: 'chips-box' });
  private readonly list = h('div', { class: 'chips', role: 'group', 'aria-label': 'Show only these states' });
  private readonly shares = h('div', { class: 'shares', 'aria-hidden': 'true' });
  private readonly chips = new Map<State | null, { root: HTMLButtonElement; count: HTMLElement }>();
  private readonly parts = new Map<State, HTMLElement>();

  constructor(private readonly choose: (state: State | null) => void) {
    this.root.append(this.list, this.shares);
    this.chip(null);
    for (const { state } of STATES) {
      this.chip(state);
      const part = h('i', { 'data-state': state });
      this.parts.set(state, part);
      this.shares.append(part);
    }
  }

  show(states: States, all: number, chosen: ReadonlySet<State>): void {
    for (const [state, chip] of this.chips) {
      const n = state === null ? all : (states[state] ?? 0);
      const on = state === null ? chosen.size === 0 : chosen.has(state);
      chip.root.hidden = state !== null && n === 0 && !on;
      text(chip.count, count(n));
      attribute(chip.root, 'aria-pressed', String(on));
    }
    for (const [state, part] of this.parts) {
      const n = states[state] ?? 0;
      part.hidden = n === 0;
      part.style.flexGrow = String(n);
    }
  }

  private chip(state: State | null): void {
    const number = h('b', {});
    const root = h('button', { type: 'button', class: 'chip', 'data-state': state, title: state ? kind(state).meaning : null,
      onclick: () => this.choose(state) }, state && mark(state), number, ` ${state ?? 'all'}`);
    this.chips.set(state, { root, count: number });
    this.list.append(root);
  }
}
