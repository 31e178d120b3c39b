// The pictures of the documentation: `npm run screenshots` writes them to docs/images, else they are among the test's results.
import { join } from 'node:path';
import type { Page, TestInfo } from '@playwright/test';
import { everyState, hung } from './every-state';
import { GONE, expect, live, row, test } from './fixtures';
import { fileURLToPath } from 'node:url';
import { ROOT, freePort } from './stage';
import type { Stage } from './stage';

const DATA = { busy: join(ROOT, 'data/machine-busy.csv'), quiet: join(ROOT, 'data/machine-quiet.csv') };
const PAST = fileURLToPath(new URL('past.py', import.meta.url));

async function shoot(page: Page, info: TestInfo, name: string): Promise<void> {
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: process.env.SCREENSHOTS ? join(ROOT, 'docs/images', name) : info.outputPath(name), animations: 'disabled' });
}

async function dark(page: Page, on: boolean): Promise<void> {
  await page.emulateMedia({ colorScheme: on ? 'dark' : 'light' });
  await expect(page.locator('html')).toHaveAttribute('data-theme', on ? 'dark' : 'light');
}

/** Addresses as one would choose them: a socket file's would have this run's folder in it. */
async function overTcp(stage: Stage): Promise<void> {
  stage.publishers = `tcp://127.0.0.1:${await freePort()}`;
  stage.subscribers = `tcp://127.0.0.1:${await freePort()}`;
}

test('a day of a few machines', async ({ page, stage }, info) => {
  await overTcp(stage);
  const config = stage.file('subscriber.toml', "[publishers.camera-2]\nthreshold = '8s'\n");
  await stage.watch({ threshold: '50s', options: ['--config', config] });
  const machines = [['web-1', 'rack-1', 'quiet', 1], ['web-2', 'rack-1', 'busy', 1], ['db-1', 'rack-2', 'quiet', 3], ['db-2', 'rack-2', 'quiet', 9], ['build-1', 'rack-3', 'busy', 0.2],
    ['build-2', 'rack-3', 'busy', 0.5], ['gateway', 'rack-1', 'quiet', 8], ['mail', 'rack-2', 'quiet', 5]] as const;
  const running = machines.map(([id, host, load, every]) => stage.publisher(id, { host, threshold: '50s', csv: DATA[load], options: ['--every', `${every * 1000}ms`] }));
  await stage.are(Object.fromEntries(machines.map(([id]) => [id, 'alive'])));
  // The store is a moment behind.
  for (const [id] of machines) await expect.poll(async () => (await stage.of(id)).fields.length).toBeGreaterThan(0);
  const past = stage.start('past', '/usr/bin/python3', [PAST, join(stage.folder, 'lastbeat.db'), ...machines.map(([id, , load]) => `${id}=${DATA[load]}`)]);
  await past.ended;
  expect(past.said()).toBe('');
  await stage.feed([['sensor/hall/thermostat', '{"celsius":20.5}'], await hung(stage, 'camera-2', 'web-1')]);
  await stage.post('publishers/build-2/pause', '{"for":"2h"}');
  await stage.are({ 'build-2': 'paused', 'camera-2': 'silent' });
  await stage.feed([['sensor/cold-store/freezer-1', '{"celsius":-18.4,"door_open":false}'], ['sensor/cold-store/freezer-2', '{"celsius":-19.1,"door_open":false}']]);
  await stage.post('beat/nightly-backup/start');
  await stage.post('beat/nightly-backup', 'sent 1,204 files, 3.1 GB; 2 removed\n');
  await running[1]?.end('SIGKILL');
  await stage.are({ 'web-2': 'dead', 'nightly-backup': 'alive' });
  await expect.poll(async () => (await stage.of('web-2')).silence_s, { timeout: 60_000 }).toBeGreaterThan(12);

  await page.goto(stage.url);
  await live(page);
  await expect(row(page, 'web-2')).toHaveAttribute('data-state', 'dead');
  await expect(row(page, 'web-1').locator('.c-spark .line')).toHaveAttribute('d', /L/);
  await expect(page.locator('.flips li').first()).toContainText('web-2');
  await shoot(page, info, 'overview-light.png');
  await dark(page, true);
  await shoot(page, info, 'overview-dark.png');
  await dark(page, false);

  for (const [id, on, name] of [['web-1', false, 'publisher.png'], ['web-1', true, 'publisher-dark.png'], ['web-2', false, 'publisher-dead.png']] as const) {
    await page.goto(`${stage.url}p/${id}`);
    await dark(page, on);
    await expect(page.locator('.chart canvas').nth(2)).toBeVisible();
    await expect(page.locator('.strip i').first()).toBeVisible();
    await expect(page.locator('.past-list li').first()).toBeVisible();
    await shoot(page, info, name);
  }
  await dark(page, false);
  await page.setViewportSize({ width: 360, height: 740 });
  await page.goto(stage.url);
  await expect(row(page, 'web-2')).toHaveAttribute('data-state', 'dead');
  await shoot(page, info, 'overview-phone.png');
});

test('a swarm', async ({ page, stage }, info) => {
  await overTcp(stage);
  await stage.watch();
  const agents = ['rome', 'oslo', 'lima', 'kiev'].flatMap((network) => [1, 2, 3, 4, 5].map((number) => `${network}-${number}`));
  const trips = { 'www.example': 2.1, '192.0.2.17': 9.4, 'https://shop.example/health': 87, 'db.example:5432': 24.6, 'cdn.example': 4.2, 'far.example': 351, 'down.example': null };
  const results = agents.flatMap((agent, number) => Object.entries(trips).map(([target, trip]): [string, string] => {
    const lost = trip === null || agent.startsWith('kiev') || (target === 'cdn.example' && agent.startsWith('rome'));
    const avg = (trip ?? 0) * (1 + ((number * 7 + target.length) % 5) / 20);
    const figures = lost ? { loss: 100, error: 'no answer within 2s' } : { loss: 0, min: avg * 0.8, avg, max: avg * 1.4, mdev: avg / 9 };
    const fields = { agent, ...figures, every: 600, network: agent.split('-')[0] };
    return [`ping/${target.replaceAll('/', '%2F')}`, JSON.stringify({ lastbeat: 1, fields })];
  }));
  await stage.feed(results);
  await page.goto(`${stage.url}swarm`);
  await live(page);
  await expect(page.locator('.swarm-summary')).toContainText('5 of 20 agents with trouble of their own');
  await shoot(page, info, 'swarm-light.png');
});

test('every state, and a stream that is cut', async ({ page, stage, faults }, info) => {
  await overTcp(stage);
  await everyState(stage, '5s');
  await page.goto(stage.url);
  await live(page);
  await expect(row(page, 'boiler')).toHaveAttribute('data-state', 'blind');
  await shoot(page, info, 'every-state.png');
  faults.allow(GONE);
  await stage.processes.find((one) => one.name === 'subscriber')?.end('SIGKILL');
  await expect(page.getByRole('alert').first()).toContainText('Stream cut since');
  await shoot(page, info, 'stream-cut.png');
});
