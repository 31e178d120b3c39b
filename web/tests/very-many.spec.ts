// 25,000 publishers: too many to be told of each, so the page asks for those in sight.
import type { Page } from '@playwright/test';
import { expect, live, row, test } from './fixtures';
import { until } from './process';
import type { Overview } from '../src/api';

// Recording takes longer than all the rest.
test.use({ trace: 'off' });

const MANY = 25_000, ENDED = 1_000;
const name = (place: number): string => `sensor-${String(place).padStart(5, '0')}`;
const names = Array.from({ length: MANY }, (_, place) => name(place));
const rows = (page: Page): Promise<string[]> => page.locator('.table .row:visible').evaluateAll((shown) => shown
  .sort((a, b) => Number(a.getAttribute('aria-rowindex')) - Number(b.getAttribute('aria-rowindex'))).map((one) => one.querySelector('a')?.textContent ?? ''));
/** The row that has the keyboard's focus. */
const focused = (page: Page, id: string): Promise<void> => expect(page.locator('.table .row.focused').getByRole('link')).toHaveText(id);

/** Counts how often the list of flips is drawn, and the frames meanwhile. */
const countDraws = (page: Page): Promise<void> => page.evaluate(() => {
  const counted = { draws: 0, frames: 0 };
  new MutationObserver((changes) => (counted.draws += changes.length)).observe(document.querySelector('.flips ol') as Element, { childList: true });
  const frame = (): void => {
    counted.frames++;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  Object.assign(window, { counted });
});

test('more publishers than a page is told of are walked through, scrolled and searched, and a dead one is found', async ({ page, stage }) => {
  await stage.watch({ threshold: '1h' });
  await stage.feed(names.map((name) => [`beat/${name}`, ''] as const));
  await until(`${MANY} publishers are known, and stored`, async () => {
    const { states, followers } = await stage.api<Overview>('publishers?limit=0');
    return states.alive === MANY && followers.every((one) => one.behind_bytes === 0);
  });
  await page.goto(stage.url);
  await live(page);
  const grid = page.getByRole('grid', { name: 'Publishers' });
  await expect(grid).toHaveAttribute('aria-rowcount', String(MANY + 1));
  await expect.poll(async () => (await rows(page)).slice(0, 20)).toEqual(names.slice(0, 20));

  await grid.focus();
  await focused(page, name(0));
  for (let i = 0; i < 150; i++) await page.keyboard.press('ArrowDown');
  await focused(page, name(150));
  await page.keyboard.press('End');
  await focused(page, name(MANY - 1));
  await page.keyboard.press('ArrowUp');
  await focused(page, name(MANY - 2));
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toContainText(name(MANY - 2));
  await page.goBack();
  await expect(row(page, name(MANY - 2))).toBeInViewport();

  await page.evaluate(() => scrollTo({ top: document.documentElement.scrollHeight / 2, behavior: 'instant' }));
  await expect(row(page, name(MANY / 2))).toBeInViewport();
  expect(await page.locator('.table .row').count()).toBeLessThan(100);
  await page.keyboard.press('/');
  await page.keyboard.type('4242');
  const matching = names.filter((name) => name.includes('4242'));
  await expect(page.locator('.found')).toHaveText(`${matching.length} of 25,000 publishers`);
  await expect.poll(() => rows(page)).toEqual(matching);
  await page.keyboard.press('Escape');
  await expect(grid).toHaveAttribute('aria-rowcount', String(MANY + 1));

  await countDraws(page);
  await stage.feed(names.slice(0, ENDED).map((name) => [`bye/${name}`, ''] as const));
  await expect(page.getByRole('button', { name: '1,000 finished' })).toBeVisible();
  const { draws, frames } = await page.evaluate(() => (window as unknown as { counted: { draws: number; frames: number } }).counted);
  expect(draws).toBeGreaterThan(0);
  expect(draws).toBeLessThanOrEqual(frames);

  const killed = stage.publisher('zz-job');
  await expect(page.getByRole('button', { name: '24,001 alive' })).toBeVisible();
  await killed.end('SIGKILL');
  await page.getByRole('button', { name: '1 dead' }).click();
  await expect(row(page, 'zz-job')).toHaveAttribute('data-state', 'dead');
  await expect(page.locator('.found')).toHaveText('1 of 25,001 publishers');
  await page.getByRole('button', { name: '1 dead' }).click();
  await expect.poll(async () => (await rows(page)).slice(0, 2)).toEqual(['zz-job', name(ENDED)]);
});
