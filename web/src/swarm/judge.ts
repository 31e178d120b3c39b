// What the matrix shows of judgements and results. Pure: no DOM, no network.
import type { AgentStand, PingResult, Swarm, TargetStand } from '../api';
import { trip } from '../format';

/** What stands in one place of the matrix. */
export interface Cell { grade: PingResult['grade'] | 'none'; short: string; told: string }

const LEVELS = ['well', 'warn', 'critical'] as const;
const LINKS = ['well', 'unknown', 'unclear', 'down'] as const;

export function cell(result: PingResult | undefined): Cell {
  if (!result) return { grade: 'none', short: '', told: 'not measured' };
  const { grade, loss, avg, error } = result, why = error ? `: ${error}` : '';
  const lost = loss === null ? '' : `${Math.round(loss)} % lost`, mean = avg === null ? '' : trip(avg);
  if (grade === 'unmeasured') return { grade, short: '?', told: `could not be measured${why}` };
  const figures = [mean, lost].filter(Boolean).join(', ');
  if (grade === 'stale') return { grade, short: '–', told: `no longer counts (${figures || 'not measured'})` };
  if (grade === 'failed') return { grade, short: `${Math.round(loss ?? 100)} %`, told: `not reached, ${lost}${why}` };
  return { grade, short: avg === null ? lost : trip(avg).replace(/ ms$/, ''), told: `reached, ${figures}` };
}

/** Trouble first, then by name. */
export const targets = (swarm: Swarm): TargetStand[] =>
  [...swarm.targets].sort((a, b) => LEVELS.indexOf(b.level) - LEVELS.indexOf(a.level) || a.target.localeCompare(b.target, 'en', { numeric: true }));
export const agents = (swarm: Swarm): AgentStand[] =>
  [...swarm.agents].sort((a, b) => LINKS.indexOf(b.link) - LINKS.indexOf(a.link) || a.agent.localeCompare(b.agent, 'en', { numeric: true }));

/** The results, by target and agent. */
export function placed(swarm: Swarm): Map<string, Map<string, PingResult>> {
  const found = new Map<string, Map<string, PingResult>>();
  for (const result of swarm.results) {
    const row = found.get(result.target) ?? new Map<string, PingResult>();
    found.set(result.target, row.set(result.agent, result));
  }
  return found;
}

/** In one sentence, what a person wants to know: the targets, or agents? */
export function summary(swarm: Swarm): string {
  const of = (n: number, all: number, what: string): string => `${n} of ${all} ${what}${all === 1 ? '' : 's'}`;
  const down = swarm.targets.filter((one) => one.reach === 'none').length, some = swarm.targets.filter((one) => one.reach === 'some').length;
  const own = swarm.agents.filter((one) => one.link === 'down').length, slow = swarm.targets.filter((one) => one.reach === 'all' && one.level !== 'well').length;
  const unknown = swarm.targets.filter((one) => one.reach === 'unknown' || one.reach === 'unclear').length;
  const told = [
    down && `${of(down, swarm.targets.length, 'target')} reached by no agent`,
    some && `${of(some, swarm.targets.length, 'target')} not reached by some`,
    slow && `${of(slow, swarm.targets.length, 'target')} slow or lossy`,
    own && `${of(own, swarm.agents.length, 'agent')} with trouble of ${own === 1 ? 'its' : 'their'} own`,
    unknown && `nobody can tell how ${of(unknown, swarm.targets.length, 'target')} ${unknown === 1 ? 'stands' : 'stand'}`,
  ].filter(Boolean).join('; ');
  return told ? `${told.charAt(0).toUpperCase()}${told.slice(1)}.` : 'Every target is reached by every agent that measures it.';
}
