// On a phone of 360 px nothing sticks out.
import type { Page } from '@playwright/test';
import { accessible, expect, live, row, test } from './fixtures';

test.use({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });

const LONG = `site/${'building-of-a-very-long-name/'.repeat(5)}heat-pump-at-the-very-end-of-the-corridor`;

const wide = (page: Page): Promise<{ page: number; out: string[] }> => page.evaluate(() => ({
  page: document.documentElement.scrollWidth,
  out: [...document.querySelectorAll('main *, header *')].filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1)
    // What scrolls within itself may be wide, and so may what is cut off on purpose.
    .filter((one) => { for (let up = one.parentElement; up; up = up.parentElement) if (getComputedStyle(up).overflowX !== 'visible') return false; return true; })
    .map((one) => `${one.tagName}.${one.getAttribute('class')}: ${one.textContent?.slice(0, 40)}`),
}));

test('neither view scrolls sideways, and rows lead to their publisher', async ({ page, stage }) => {
  await stage.watch({ options: ['--expect', 'garage-door'] });
  stage.publisher(LONG);
  const killed = stage.publisher('light-2');
  await stage.are({ [LONG]: 'alive', 'light-2': 'alive' });
  await killed.end('SIGKILL');
  await stage.are({ 'light-2': 'dead' });
  await page.goto(stage.url);
  await live(page);
  await expect(row(page, LONG)).toBeVisible();
  expect(await wide(page)).toEqual({ page: 360, out: [] });
  await accessible(page, 'the overview on a phone');
  await row(page, LONG).getByRole('link').tap();
  await expect(page.locator('.hero-state')).toHaveText('alive');
  await expect(page.locator('.chart canvas').first()).toBeVisible();
  expect(await wide(page)).toEqual({ page: 360, out: [] });
  await accessible(page, 'a publisher on a phone');
  await page.goto(`${stage.url}p/light-2`);
  await expect(page.locator('.past-list li').first()).toBeVisible();
  expect(await wide(page)).toEqual({ page: 360, out: [] });
});
