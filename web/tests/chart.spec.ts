// What a chart shows is what the file has.
import type { Page } from '@playwright/test';
import { expect, test } from './fixtures';

const BEGAN = Date.parse('2026-03-01T06:00:00Z'), STEP_S = 10;
const ROWS = Array.from({ length: 48 }, (_, i) => ({
  time: BEGAN + i * STEP_S * 1000,
  // No two alike; one is missing.
  lux: i === 20 ? null : Number((19.25 - i * 1.375 + (i % 5) * 100).toFixed(3)),
  pulses: i * i * 7,
  on: i % 7 < 3,
}));

test.use({ timezoneId: 'Asia/Kolkata' });

/** Moves over a chart from left to right, and gives what it shows at each place where that changes. */
async function read(page: Page, field: string): Promise<string[]> {
  const chart = page.locator('.chart', { has: page.locator('.name', { hasText: new RegExp(`^${field}$`) }) });
  await chart.locator('.u-over').scrollIntoViewIfNeeded();
  const box = await chart.locator('.u-over').boundingBox();
  if (!box) throw new Error(`no chart of ${field}`);
  const shown: string[] = [];
  for (let x = 0; x < box.width; x += 2) {
    await page.mouse.move(box.x + x, box.y + box.height / 2);
    const told = (await chart.locator('.stats.pointed').allInnerTexts())[0]?.replace(/\s+/g, ' ');
    if (told && told !== shown.at(-1)) shown.push(told);
  }
  return shown;
}

test('each point under the pointer is a row of the CSV', async ({ page, stage }) => {
  await stage.watch();
  const csv = stage.file('known.csv', ['time,lux,pulses,on', ...ROWS.map((row) => `${new Date(row.time).toISOString()},${row.lux ?? ''},${row.pulses},${row.on}`), ''].join('\n'));
  stage.publisher('meter', { csv, options: ['--time', 'file', '--every', '0', '--once'] });
  await stage.are({ meter: 'finished' });
  const last = BEGAN + (ROWS.length - 1) * STEP_S * 1000;
  const zoom = new URLSearchParams({ from: new Date(BEGAN - 5_000).toISOString(), to: new Date(last + 5_000).toISOString() });
  await page.goto(`${stage.url}p/meter?${zoom}`);
  await expect(page.locator('.chart canvas')).toHaveCount(3);
  // The day and the time in the reader's zone, here UTC+5:30.
  const at = (time: number): string => `1 Mar ${new Date(time + 5.5 * 3_600_000).toISOString().slice(11, 19)}`;
  const sign = (v: number): string => String(v).replace('-', '−');
  expect(await read(page, 'lux')).toEqual(ROWS.filter((row) => row.lux !== null).map((row) => `${at(row.time)} ${sign(row.lux ?? 0)}`));
  expect(await read(page, 'pulses')).toEqual(ROWS.map((row) => `${at(row.time)} ${row.pulses.toLocaleString('en')}`));
  expect(await read(page, 'on')).toEqual(ROWS.map((row) => `${at(row.time)} ${row.on}`));
  await expect(page.getByRole('img', { name: /^pulses/ })).toHaveAttribute('aria-label', `pulses: latest ${(47 * 47 * 7).toLocaleString('en')}, min 0, max ${(47 * 47 * 7).toLocaleString('en')} in the range shown`);
});
