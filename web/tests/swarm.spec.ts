// The swarm: a glance at the matrix tells whether it is the target or the agent.
import type { Page } from '@playwright/test';
import { accessible, expect, live, test } from './fixtures';

const AGENTS = ['lima-1', 'oslo-1', 'paris-1', 'paris-2', 'rome-1'];

/** What an agent finds, in the envelope; `null`: nothing comes back. */
function found(agent: string, target: string, avg: number | null): [string, string] {
  const figures = avg === null ? { loss: 100 } : { loss: 0, min: avg / 2, avg, max: avg * 2, mdev: avg / 5 };
  const fields = { agent, probe: 'icmp', sent: 10, received: avg === null ? 0 : 10, ...figures, every: 600, network: agent.split('-')[0] };
  return [`ping/${target}`, JSON.stringify({ lastbeat: 1, fields })];
}

const cell = (page: Page, target: string, agent: string) => page.locator(`td[title^="${target} from ${agent}:"]`);
const row = (page: Page, target: string) => page.locator('.matrix tbody tr', { hasText: target });

test('a row is a target that is down, a column an agent with trouble of its own, and news shows at once', async ({ page, stage }) => {
  await stage.watch();
  await page.goto(stage.url);
  await live(page);
  await expect(page.getByRole('link', { name: 'Swarm' })).toBeHidden();
  // lima reaches nothing; down.example is down; both of paris do not reach cdn.example; far.example is slow.
  const messages = AGENTS.flatMap((agent) => {
    const own = agent === 'lima-1';
    return [
      found(agent, 'well.example', own ? null : 12.4),
      found(agent, 'down.example', null),
      found(agent, 'cdn.example', own || agent.startsWith('paris') ? null : 3.2),
      found(agent, 'far.example', own ? null : 420),
    ];
  });
  await stage.feed(messages);
  const way = page.getByRole('link', { name: 'Swarm' });
  await expect(way).toHaveAttribute('data-level', 'critical');
  await way.click();
  await expect(page).toHaveURL(/\/swarm$/);

  await expect(row(page, 'down.example')).toHaveAttribute('data-reach', 'none');
  await expect(row(page, 'cdn.example')).toHaveAttribute('data-reach', 'some');
  await expect(row(page, 'well.example')).toHaveAttribute('data-reach', 'all');
  await expect(row(page, 'well.example').locator('.reach')).toHaveText('4/4');
  await expect(cell(page, 'well.example', 'oslo-1')).toContainText('12');
  await expect(cell(page, 'far.example', 'oslo-1')).toHaveAttribute('data-grade', 'warn');
  await expect(cell(page, 'down.example', 'oslo-1')).toHaveAttribute('data-grade', 'failed');
  // The worst is first: the row of what is down, the column of who has trouble of its own.
  await expect(page.locator('.matrix tbody tr').first()).toContainText('down.example');
  const column = page.locator('.matrix thead th').nth(1);
  await expect(column).toContainText('lima-1');
  await expect(column).toContainText('own link');
  await expect(page.locator('.swarm-summary')).toContainText('1 of 4 targets reached by no agent');
  await expect(page.locator('.swarm-summary')).toContainText('1 of 5 agents with trouble of its own');
  await expect(page.locator('.swarm-trouble')).toContainText('cdn.example: not reached by 2 of 4 (paris-1, paris-2), which share the network paris');
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await accessible(page, `the swarm, ${colorScheme}`);
  }

  // What is judged anew is there without being asked for.
  await stage.feed(AGENTS.filter((agent) => agent !== 'lima-1').map((agent) => found(agent, 'down.example', 8)));
  await expect(row(page, 'down.example')).toHaveAttribute('data-reach', 'all');
  await expect(page.locator('.swarm-summary')).not.toContainText('reached by no agent');

  // An agent is a publisher like any other.
  await page.locator('.matrix thead').getByRole('link', { name: 'oslo-1' }).click();
  await expect(page.locator('.hero-id')).toHaveText('agent/oslo-1');
  // And the address of the swarm can be opened by itself.
  await page.goto(`${stage.url}swarm`);
  await expect(row(page, 'well.example')).toBeVisible();
});

test('what nobody measured, or can measure, has no colour of its own', async ({ page, stage }) => {
  await stage.watch();
  const error = 'the name does not resolve';
  await stage.feed([
    found('oslo-1', 'well.example', 3),
    ...['oslo-1', 'rome-1'].map((agent): [string, string] =>
      ['ping/gone.example', JSON.stringify({ lastbeat: 1, fields: { agent, probe: 'icmp', error, every: 600 } })]),
  ]);
  await page.goto(`${stage.url}swarm`);
  await expect(row(page, 'gone.example')).toHaveAttribute('data-level', 'warn');
  await expect(page.locator('.swarm-trouble')).toContainText(`gone.example: could not be measured: ${error}`);
  const place = cell(page, 'well.example', 'rome-1');
  await expect(place).toContainText('not measured');
  await expect(place).toHaveCSS('background-color', 'rgba(0, 0, 0, 0)');
});

test('without agents it says how to start one', async ({ page, stage }) => {
  await stage.watch();
  await page.goto(`${stage.url}swarm`);
  await expect(page.locator('.swarm-summary')).toContainText('lastbeat-publisher ping');
  await accessible(page, 'the empty swarm');
});
