// A publisher dies, is started again, and the watchdog itself is killed: what the page says of it.
import { GONE, expect, live, row, test } from './fixtures';
import { until } from './process';
import type { Flips } from '../src/api';

// Times are told in the reader's zone.
test.use({ timezoneId: 'Asia/Kolkata' });
/** A time of UTC there, five hours and a half later. */
const zoned = (time: string): string => new Date(Date.parse(`2026-01-01T${time}Z`) + 5.5 * 3_600_000).toISOString().slice(11, 19);
/** And back. */
const unzoned = (time: string): string => new Date(Date.parse(`2026-01-02T${time}Z`) - 5.5 * 3_600_000).toISOString().slice(11, 19);

test('one of two is killed: its row, the counts, the announcement, and its evidence', async ({ page, stage }) => {
  await stage.watch();
  stage.publisher('light-1');
  const killed = stage.publisher('light-2');
  await stage.are({ 'light-1': 'alive', 'light-2': 'alive' });
  await page.goto(stage.url);
  await expect(row(page, 'light-1')).toHaveAttribute('data-state', 'alive');
  await expect(row(page, 'light-2')).toHaveAttribute('data-state', 'alive');
  await expect(page).toHaveTitle('2 alive – Lastbeat');
  await expect(page.getByRole('grid', { name: 'Publishers' })).toHaveAttribute('aria-rowcount', '3');
  const icon = await page.locator('link[rel=icon]').getAttribute('href');

  const { pid } = killed;
  await killed.end('SIGKILL');
  const dead = row(page, 'light-2');
  await expect(dead).toHaveAttribute('data-state', 'dead');
  await expect(dead.locator('.c-state')).toHaveText('dead');
  await expect(dead.locator('.c-state use')).toHaveAttribute('href', '#mark-dead');
  await expect(dead.locator('.c-cause')).toHaveText((await stage.of('light-2')).reason);
  await expect(page).toHaveTitle('✖ 1 dead · 1 alive – Lastbeat');
  await expect(page.getByRole('button', { name: '1 dead' })).toBeVisible();
  await expect(page.getByRole('button', { name: '1 alive' })).toBeVisible();
  await expect(page.locator('.overview [aria-live=polite]')).toContainText('light-2 is dead, ');
  expect(await page.locator('link[rel=icon]').getAttribute('href')).not.toBe(icon);
  await expect(row(page, 'light-1')).toHaveAttribute('data-state', 'alive');
  expect((await stage.of('light-1')).state).toBe('alive');

  await dead.getByRole('link').click();
  await expect(page.locator('.hero-state')).toHaveText('dead');
  await expect(page.locator('.hero .story')).toContainText(/its process \(PID \d+ on .+\) (ended|is gone)/);
  const evidence = page.locator('.hero .evidence li');
  await expect(evidence.first()).toContainText(/No such process \(seen .+, by (pidfd|.*process table.*)\)/);
  await expect(page.locator('.facts')).toContainText(String(pid));
  const flip = page.locator('.past-list > li').first();
  await expect(flip).toHaveAttribute('data-state', 'dead');
  const { flips } = await stage.api<Flips>('publishers/light-2/flips');
  const text = flips[0]?.text ?? '', utc = / at (\d\d:\d\d:\d\d) UTC/;
  expect(text).toMatch(utc);
  await expect(flip.locator('p').nth(1)).toHaveText(text.replace(utc, (_, time: string) => ` at ${zoned(time)}`));
  await expect(flip).toContainText(String(pid));
  // Seconds of a whole day are still seen.
  await expect(page.locator('.strip i[data-state=dead]')).toBeInViewport({ ratio: 0.5 });

  stage.publisher('light-2');
  await expect(page.locator('.hero-state')).toHaveText('alive');
  await expect(page.locator('.past-list > li').first()).toHaveAttribute('data-state', 'alive');
  await page.getByRole('link', { name: 'Lastbeat, all publishers' }).click();
  await expect(row(page, 'light-2')).toHaveAttribute('data-state', 'alive');
  await expect(page).toHaveTitle('2 alive – Lastbeat');
});

test('the watchdog is killed: the page says since when, stands still, and goes on by itself', async ({ page, stage, faults }) => {
  const watchdog = await stage.watch();
  stage.publisher('light-1');
  const killed = stage.publisher('light-2');
  await stage.are({ 'light-1': 'alive', 'light-2': 'alive' });
  await page.goto(stage.url);
  await live(page);
  await expect(row(page, 'light-1')).toBeVisible();
  // It is gone after a reload.
  await page.evaluate(() => Object.assign(window, { loaded: 'once' }));

  faults.allow(GONE);
  const before = Date.now();
  await watchdog.end('SIGKILL');
  const notice = page.getByRole('alert');
  await expect(notice).toContainText(/Stream cut since \d\d:\d\d:\d\d\. What is shown was known then; nothing here is newer\./);
  const told = /since (\d\d:\d\d:\d\d)/.exec(await notice.innerText())?.[1] ?? '';
  const since = Date.parse(`${new Date(before).toISOString().slice(0, 11)}${unzoned(told)}Z`);
  // The last thing that came: updates come at least every 5 s, and the time is told in whole seconds.
  expect(since).toBeGreaterThan(before - 6_000);
  expect(since).toBeLessThanOrEqual(Date.now());
  await expect(page.locator('.pill')).toHaveText('cut');
  await expect(page).toHaveTitle('(cut) 2 alive – Lastbeat');

  // While the page counts the seconds to its next try, silences stand still.
  const frozen = (): Promise<string[]> => page.locator('.table .row:visible').evaluateAll((rows) => rows.map((one) =>
    `${one.querySelector('.c-heard')?.textContent} ${one.querySelector('.share')?.textContent} ${one.querySelector<HTMLElement>('.fill')?.style.transform}`));
  const counted = new Set<string>();
  const counts = (times: number): Promise<boolean> => until('the page has counted on', async () => counted.add(await notice.locator('.after').innerText()).size > times);
  await counts(1);
  const then = await frozen();
  await counts(4);
  expect(await frozen()).toEqual(then);
  await expect(row(page, 'light-1')).toHaveAttribute('data-state', 'alive');

  await killed.end('SIGKILL');
  stage.publisher('light-3');
  await stage.subscriber();
  await live(page);
  await expect(notice).toHaveCount(0);
  await expect(row(page, 'light-1')).toHaveAttribute('data-state', 'alive');
  await expect(row(page, 'light-2')).toHaveAttribute('data-state', 'dead');
  await expect(row(page, 'light-3')).toHaveAttribute('data-state', 'alive');
  await expect(page).toHaveTitle('✖ 1 dead · 2 alive – Lastbeat');
  expect(await page.evaluate(() => 'loaded' in window)).toBe(true);
  const share = row(page, 'light-1').locator('.share'), shown = new Set<string>();
  await until('silences move again', async () => shown.add(await share.innerText()).size > 2);
});
