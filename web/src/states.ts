// The ten states: their order (trouble first), their words and marks. The mark's shape is the same in the terminal's table.
import type { State, States } from './api';

interface Kind {
  state: State;
  /** For text: titles, lists. On the page it is drawn (see `mark`). */
  sign: string;
  /** Somebody should look. */
  trouble: boolean;
  /** What it means, in few words. */
  meaning: string;
}

/** Trouble first. */
export const STATES: readonly Kind[] = [
  { state: 'dead', sign: '✖', trouble: true, meaning: 'there is evidence of its end' },
  { state: 'failed', sign: '▲', trouble: true, meaning: 'it said itself that its work failed' },
  { state: 'suspended', sign: '‖', trouble: true, meaning: 'its process is stopped' },
  { state: 'silent', sign: '◐', trouble: true, meaning: 'past its threshold, its process runs: hung, or cut off' },
  { state: 'unknown', sign: '?', trouble: true, meaning: 'past its threshold, and nothing here can tell more' },
  { state: 'blind', sign: '◌', trouble: true, meaning: 'the watchdog itself could not hear it; nobody is judged' },
  { state: 'unseen', sign: '○', trouble: false, meaning: 'expected, never heard' },
  { state: 'paused', sign: '▷', trouble: false, meaning: 'maintenance; it is not judged' },
  { state: 'alive', sign: '●', trouble: false, meaning: 'heard within its threshold' },
  { state: 'finished', sign: '■', trouble: false, meaning: 'it said goodbye' },
];

/** For these a silence is no news. */
export const UNMEASURED: ReadonlySet<State> = new Set(['failed', 'finished', 'unseen', 'paused']);

const PLACE = new Map(STATES.map((kind, place) => [kind.state, place]));

/** Its place in the order, worst first. A state this page does not know yet comes first: nothing is hidden. */
export const severity = (state: State): number => PLACE.get(state) ?? -1;
export const kind = (state: State): Kind => STATES[severity(state)] ?? { state, sign: '?', trouble: true, meaning: '' };

/** The worst state that occurs; `null` if nothing is known. */
export function worst(states: States): State | null {
  return STATES.find((one) => (states[one.state] ?? 0) > 0)?.state ?? null;
}

/** `✖ 1 dead · 31 alive`: at most three troubles, then those alive. */
export function summary(states: States): string {
  const told = STATES.filter((one) => one.trouble && (states[one.state] ?? 0) > 0).slice(0, 3);
  const parts = told.map((one) => `${one.sign} ${states[one.state]} ${one.state}`);
  parts.push(`${states.alive ?? 0} alive`);
  return parts.join(' · ');
}
