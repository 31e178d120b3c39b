// Pausing a publisher from its page.
import { expect, row, test } from './fixtures';

test('a publisher is paused for 15 minutes and resumed', async ({ page, stage }) => {
  await stage.watch();
  const publisher = stage.publisher('light-1');
  await stage.are({ 'light-1': 'alive' });
  await page.goto(`${stage.url}p/light-1`);
  await expect(page.locator('.hero-state')).toHaveText('alive');
  const asked = Date.now();
  await page.getByRole('group', { name: 'Pause for' }).getByRole('button', { name: '15 min' }).click();
  await expect(page.locator('.hero-state')).toHaveText('paused');
  await expect(page.locator('.pause [role=status]')).toHaveText('Paused for 15 min: it is not judged until then.');
  const { paused_until, state } = await stage.of('light-1');
  expect(state).toBe('paused');
  const until = Date.parse(paused_until ?? '');
  expect(until - asked).toBeGreaterThan(14 * 60_000);
  expect(until - Date.now()).toBeLessThanOrEqual(15 * 60_000);
  await expect(page.locator('.pause .until')).toHaveText(`Paused until ${new Date(until).toISOString().slice(11, 19)}.`);
  await page.reload();
  await expect(page.locator('.pause .until')).toHaveText(`Paused until ${new Date(until).toISOString().slice(11, 19)}.`);
  await page.getByRole('link', { name: 'Lastbeat, all publishers' }).click();
  await expect(row(page, 'light-1').locator('.c-state')).toHaveText('paused');

  // Nothing that happens to it is an alarm.
  await publisher.end('SIGKILL');
  await row(page, 'light-1').getByRole('link').click();
  await expect(page.locator('.hero-state')).toHaveText('paused');
  stage.publisher('light-1');
  await page.getByRole('button', { name: 'Resume', exact: true }).click();
  await expect(page.locator('.hero-state')).toHaveText('alive');
  await expect(page.locator('.pause .until')).toHaveText('');
  await expect(page.getByRole('button', { name: 'Resume', exact: true })).toBeHidden();
});
