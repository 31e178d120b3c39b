// Searching, filtering and sorting the overview, with the keyboard alone, and what the address keeps of it.
import type { Page } from '@playwright/test';
import { expect, live, row, test } from './fixtures';

const names = (page: Page): Promise<string[]> => page.locator('.table .row:visible').evaluateAll((rows) => rows
  .sort((a, b) => Number(a.getAttribute('aria-rowindex')) - Number(b.getAttribute('aria-rowindex'))).map((one) => one.querySelector('a')?.textContent ?? ''));
const shows = (page: Page, ...wanted: string[]): Promise<void> => expect.poll(() => names(page)).toEqual(wanted);
const query = (page: Page): string => decodeURIComponent(new URL(page.url()).search);
/** The name of the row that has the keyboard's focus. */
const focused = (page: Page): Promise<string | null | undefined> => page.evaluate(() => {
  const active = document.activeElement?.getAttribute('aria-activedescendant');
  return active ? document.getElementById(active)?.querySelector('a')?.textContent : null;
});

test('search, filter, order and focus by keyboard; reload, back and forward', async ({ page, stage }) => {
  await stage.watch({ threshold: '60s' });
  // One has many more messages than the others; two said goodbye.
  const beats = (id: string, count: number): [string, string][] => Array.from({ length: count }, () => [`beat/${id}`, '']);
  await stage.feed([...beats('boiler-2', 2), ...beats('boiler-10', 40), ...beats('site/kitchen', 3), ...beats('site/cellar', 1), ...beats('über uns', 1),
    ['bye/site/cellar', ''], ['bye/über uns', '']]);
  await stage.are({ 'boiler-2': 'alive', 'boiler-10': 'alive', 'site/kitchen': 'alive', 'site/cellar': 'finished', 'über uns': 'finished' });
  await page.goto(stage.url);
  await live(page);
  // Numbers in names sort as numbers.
  await shows(page, 'boiler-2', 'boiler-10', 'site/kitchen', 'site/cellar', 'über uns');

  await page.keyboard.press('/');
  await expect(page.getByRole('searchbox')).toBeFocused();
  await page.keyboard.type('site');
  await shows(page, 'site/kitchen', 'site/cellar');
  expect(query(page)).toBe('?q=site');
  await expect(page.locator('.found')).toHaveText('2 of 5 publishers');
  await page.keyboard.press('ArrowDown');
  await expect(page.getByRole('grid')).toBeFocused();
  expect(await focused(page)).toBe('site/kitchen');
  await page.keyboard.press('ArrowDown');
  expect(await focused(page)).toBe('site/cellar');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toContainText('site/cellar');
  expect(new URL(page.url()).pathname).toBe('/p/site%2Fcellar');

  await page.goBack();
  await shows(page, 'site/kitchen', 'site/cellar');
  await expect(page.getByRole('searchbox')).toHaveValue('site');
  await page.goForward();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('site/cellar');
  await page.reload();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('site/cellar');
  await page.goBack();
  await shows(page, 'site/kitchen', 'site/cellar');
  await page.reload();
  await shows(page, 'site/kitchen', 'site/cellar');
  await expect(page.getByRole('searchbox')).toHaveValue('site');
  await page.keyboard.press('/');
  await page.keyboard.press('Escape');
  await shows(page, 'boiler-2', 'boiler-10', 'site/kitchen', 'site/cellar', 'über uns');
  expect(query(page)).toBe('');

  // A name with a space and an umlaut is an address, too.
  await row(page, 'über uns').getByRole('link').click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('über uns');
  await page.reload();
  await expect(page.locator('.hero-state')).toHaveText('finished');
  await page.goBack();

  const rate = page.getByRole('columnheader', { name: 'Msg/s' });
  await rate.getByRole('button').press('Enter');
  await expect(rate).toHaveAttribute('aria-sort', 'descending');
  await expect.poll(async () => (await names(page))[0]).toBe('boiler-10');
  expect(query(page)).toBe('?sort=-rate');
  await page.getByRole('button', { name: '2 finished' }).press('Space');
  expect(query(page)).toBe('?state=finished&sort=-rate');
  await expect.poll(async () => (await names(page)).sort()).toEqual(['site/cellar', 'über uns']);
  await page.reload();
  await expect.poll(async () => (await names(page)).sort()).toEqual(['site/cellar', 'über uns']);
  await expect(page.getByRole('button', { name: '2 finished' })).toHaveAttribute('aria-pressed', 'true');
  const name = page.getByRole('columnheader', { name: 'Publisher' });
  await name.getByRole('button').press('Enter');
  await name.getByRole('button').press('Enter');
  await expect(name).toHaveAttribute('aria-sort', 'descending');
  await shows(page, 'über uns', 'site/cellar');

  await page.keyboard.press('/');
  await page.keyboard.type('nobody');
  await expect(page.getByText('Nobody matches')).toBeVisible();
  await page.getByRole('button', { name: 'Show all' }).click();
  await shows(page, 'über uns', 'site/kitchen', 'site/cellar', 'boiler-10', 'boiler-2');
});

test('a publisher nobody knows, a page that is not there, and nobody at all', async ({ page, stage, faults }) => {
  await stage.watch();
  await page.goto(stage.url);
  await expect(page.getByText('Nobody has been heard yet')).toBeVisible();
  faults.allow(/404.*publishers\/nobody/);
  await page.goto(`${stage.url}p/nobody`);
  await expect(page.getByText('Nobody of this name')).toBeVisible();
  // What the page says to do lets it be heard.
  await expect(page.locator('pre')).toHaveText(`curl ${stage.url}api/v1/beat/nobody`);
  await stage.api('beat/nobody');
  await expect(page.locator('.hero-state')).toHaveText('alive');
});
