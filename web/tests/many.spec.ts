// Ten thousand publishers: nothing is hidden, little is drawn. What is measured is printed, not asserted: machines differ.
import type { CDPSession, Page } from '@playwright/test';
import { expect, live, row, test } from './fixtures';
import { until } from './process';
import type { Stage } from './stage';
import type { Overview } from '../src/api';

// Recording would be measured, too.
test.use({ trace: 'off' });

const MANY = 10_000;
const names = Array.from({ length: MANY }, (_, i) => `site-${String(i % 100).padStart(2, '0')}/sensor-${String(i).padStart(5, '0')}`);
const RUNS = 10;

const sorted = (values: number[]): number[] => [...values].sort((a, b) => a - b);
const at = (values: number[], share: number): number => sorted(values)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? NaN;
const ms = (value: number): string => `${value.toFixed(value < 100 ? 1 : 0)} ms`;

interface Weight { what: string; bytes: number }

/** What comes over the wire, compressed as it is, headers included. */
async function weigh(cdp: CDPSession): Promise<Weight[]> {
  const weights: Weight[] = [], kinds = new Map<string, string>();
  await cdp.send('Network.enable');
  cdp.on('Network.responseReceived', ({ requestId, response, type }) => kinds.set(requestId, `${type} ${new URL(response.url).pathname}`));
  cdp.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => weights.push({ what: kinds.get(requestId) ?? 'unknown', bytes: encodedDataLength }));
  return weights;
}

/** From one frame to the next while the whole table is scrolled through in 4 s. */
const scroll = (page: Page): Promise<number[]> => page.evaluate(() => new Promise<number[]>((done) => {
  const whole = document.documentElement.scrollHeight - innerHeight, frames: number[] = [];
  let began = 0, before = 0;
  const frame = (now: number): void => {
    began ||= now;
    if (before) frames.push(now - before);
    before = now;
    const share = Math.min(1, (now - began) / 4_000);
    scrollTo({ top: whole * share, behavior: 'instant' });
    if (share < 1) requestAnimationFrame(frame);
    else done(frames);
  };
  requestAnimationFrame(frame);
}));

/** From the signal to the changed row, in ms, on this machine's one wall clock. */
async function flip(page: Page, stage: Stage, id: string): Promise<number> {
  const publisher = stage.publisher(id);
  await expect(row(page, id)).toHaveAttribute('data-state', 'alive');
  const seen = page.evaluate((name) => new Promise<number>((done) => {
    const table = document.querySelector('.table .rows') as Element;
    const observer = new MutationObserver(() => {
      const shown = [...table.querySelectorAll<HTMLElement>('.row:not([hidden])')].find((one) => one.querySelector('a')?.textContent === name);
      if (shown?.dataset.state !== 'dead') return;
      observer.disconnect();
      done(performance.timeOrigin + performance.now());
    });
    observer.observe(table, { subtree: true, attributes: true, childList: true, characterData: true });
  }), id);
  // It observes before the signal is sent: both go through the same page in this order.
  await page.evaluate(() => undefined);
  const killed = performance.timeOrigin + performance.now();
  publisher.signal('SIGKILL');
  return (await seen) - killed;
}

test('ten thousand publishers are shown, searched and scrolled', async ({ page, stage }, info) => {
  await stage.watch({ threshold: '1h' });
  await stage.feed(names.map((name) => [`beat/${name}`, ''] as const));
  await until(`${MANY} publishers are known`, async () => (await stage.api<Overview>('publishers?limit=1')).states.alive === MANY);

  const weights = await weigh(await page.context().newCDPSession(page));
  const began = performance.now();
  await page.goto(stage.url, { waitUntil: 'commit' });
  await page.locator('.table .row:visible').first().waitFor();
  const wall = performance.now() - began;
  const within = await page.evaluate(() => performance.now());
  await live(page);
  const grid = page.getByRole('grid', { name: 'Publishers' });
  await expect(grid).toHaveAttribute('aria-rowcount', String(MANY + 1));
  expect(await page.locator('.table .row').count()).toBeLessThan(100);
  await expect(row(page, 'site-00/sensor-00000')).toBeVisible();

  const frames = await scroll(page);
  await expect(page.locator(`.table .row:visible[aria-rowindex="${MANY + 1}"]`)).toBeInViewport();
  await expect(row(page, 'site-99/sensor-09999')).toBeInViewport();
  expect(await page.locator('.table .row').count()).toBeLessThan(100);

  await page.keyboard.press('/');
  await page.keyboard.type('site-42/');
  await expect(grid).toHaveAttribute('aria-rowcount', '101');
  await page.keyboard.type(' 4242');
  await expect(grid).toHaveAttribute('aria-rowcount', '2');
  await expect(row(page, 'site-42/sensor-04242')).toBeInViewport();
  await page.keyboard.press('Escape');
  await expect(grid).toHaveAttribute('aria-rowcount', String(MANY + 1));
  await page.evaluate(() => scrollTo(0, 0));

  const flips: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    // Sorted before all others as long as it is alive, and after, being dead, at the very top.
    flips.push(await flip(page, stage, `a-${run}`));
  }
  const sum = (part: (what: string) => boolean): number => weights.filter(({ what }) => part(what)).reduce((all, { bytes }) => all + bytes, 0);
  const kB = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`;
  const files = sum((what) => !what.includes('/api/')), snapshot = weights.find(({ what }) => what.endsWith('/api/v1/publishers'))?.bytes ?? 0;
  const told = [
    `${MANY} publishers, ${info.project.use.viewport?.width ?? 1280} px wide, a debug build`,
    `first rows after ${ms(wall)} (${ms(within)} by the page's own clock)`,
    `frames while all is scrolled through in 4 s: ${frames.length}, median ${ms(at(frames, 0.5))}, p95 ${ms(at(frames, 0.95))}, worst ${ms(at(frames, 1))}`,
    `over the wire: page ${kB(files)} (document, scripts, styles, icon), publishers ${kB(snapshot)}`,
    `from kill -9 to the changed row, ${RUNS} times: median ${ms(at(flips, 0.5))}, worst ${ms(at(flips, 1))}`,
  ].join('\n');
  console.log(told);
  await info.attach('measured', { body: told });
});
