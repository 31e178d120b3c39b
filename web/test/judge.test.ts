import { describe, expect, it } from 'vitest';
import type { PingResult, Swarm, TargetStand } from '../src/api';
import { agents, cell, summary, targets } from '../src/swarm/judge';

const result = (over: Partial<PingResult>): PingResult =>
  ({ target: 'a', agent: 'x', time: '', loss: 0, avg: 2.5, error: null, grade: 'well', ...over });
const target = (over: Partial<TargetStand>): TargetStand =>
  ({ target: 'a', since: '', reach: 'all', level: 'well', witnesses: 2, reaching: 2, slow: 0, failing: [], own_links: 0, text: '', ...over });
const swarm = (over: Partial<Swarm>): Swarm => ({ now: '', targets: [], agents: [], results: [], beyond: 0, ...over });

describe('a place of the matrix', () => {
  it('says in few characters what it says in words', () => {
    expect(cell(undefined)).toEqual({ grade: 'none', short: '', told: 'not measured' });
    expect(cell(result({}))).toEqual({ grade: 'well', short: '2.5', told: 'reached, 2.5 ms, 0 % lost' });
    expect(cell(result({ grade: 'failed', loss: 100, avg: null, error: 'timed out' }))).toEqual({ grade: 'failed', short: '100 %', told: 'not reached, 100 % lost: timed out' });
    expect(cell(result({ grade: 'unmeasured', loss: null, avg: null, error: 'no such host' })).told).toBe('could not be measured: no such host');
    expect(cell(result({ grade: 'stale' })).short).toBe('–');
  });
  it('leaves out the unit that all share', () => {
    expect([0.04, 2.5, 1000].map((avg) => cell(result({ avg })).short)).toEqual(['<0.1', '2.5', '1.0 s']);
  });
});

describe('the swarm', () => {
  it('shows trouble first', () => {
    const all = [target({ target: 'a10' }), target({ target: 'a9' }), target({ target: 'z', level: 'critical', reach: 'none' }), target({ target: 'y', level: 'warn', reach: 'some' })];
    expect(targets(swarm({ targets: all })).map((one) => one.target)).toEqual(['z', 'y', 'a9', 'a10']);
    const own = { agent: 'b', since: '', link: 'down', targets: 1, failing: 1, text: '' } as const;
    expect(agents(swarm({ agents: [{ ...own, agent: 'a', link: 'well' }, own] })).map((one) => one.agent)).toEqual(['b', 'a']);
  });
  it('is told in one sentence', () => {
    expect(summary(swarm({ targets: [target({})] }))).toBe('Every target is reached by every agent that measures it.');
    expect(summary(swarm({ targets: [target({ reach: 'none', level: 'critical' }), target({ reach: 'some', level: 'warn' })] })))
      .toBe('1 of 2 targets reached by no agent; 1 of 2 targets not reached by some.');
    expect(summary(swarm({ targets: [target({ reach: 'unknown' })] }))).toBe('Nobody can tell how 1 of 1 target stands.');
    expect(summary(swarm({ targets: [target({ reach: 'unknown' }), target({ reach: 'none' })] })))
      .toBe('1 of 2 targets reached by no agent; nobody can tell how 1 of 2 targets stands.');
  });
});
