// Each state, by real means: its word, shape and cause; and nobody is kept out, in light and dark.
import { STATES } from '../src/states';
import { CAST, FAILURE, everyState } from './every-state';
import { accessible, expect, live, row, test } from './fixtures';

test('every state has its word, its shape and its cause', async ({ page, stage }) => {
  expect(CAST.map(([, state]) => state).sort()).toEqual(STATES.map(({ state }) => state).sort());
  await everyState(stage);
  await page.goto(stage.url);
  await live(page);
  const shapes = new Set<string>();
  for (const [id, state, cause] of CAST) {
    const known = await stage.of(id), shown = row(page, id);
    expect(`${id} ${known.state} ${known.cause}`).toBe(`${id} ${state} ${cause}`);
    await expect(shown).toHaveAttribute('data-state', state);
    await expect(shown.locator('.c-state')).toHaveText(state);
    await expect(shown.locator('.c-cause')).toHaveText(known.reason);
    await expect(shown.locator('.c-state use')).toHaveAttribute('href', `#mark-${state}`);
    shapes.add(await page.locator(`#mark-${state}`).innerHTML());
    await expect(page.getByRole('button', { name: `1 ${state}` })).toBeVisible();
  }
  expect(shapes.size).toBe(CAST.length);
  // Trouble first.
  const order = await page.locator('.table .row:visible').evaluateAll((rows) => rows.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top).map((one) => one.getAttribute('data-state')));
  expect(order).toEqual(STATES.map(({ state }) => state));
  await expect(page.locator('.notices')).toContainText('link is down');
  await expect(page.locator('.notices')).toContainText('1 publisher is blind');

  for (const [id, state] of CAST) {
    const known = await stage.of(id);
    await page.goto(`${stage.url}p/${encodeURIComponent(id)}`);
    await expect(page.locator('.hero-state')).toHaveText(state);
    // Without times: the page tells them in its own way, and a look is taken again and again.
    for (const { text } of known.evidence) await expect(page.locator('.hero .evidence')).toContainText(text.split(/, for \d| until | \(/)[0] ?? '', { ignoreCase: true });
  }

  await page.goto(`${stage.url}p/nightly-backup`);
  await expect(page.locator('.log pre')).toHaveText(FAILURE);

  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.goto(stage.url);
    await expect(row(page, 'web-1')).toBeVisible();
    await accessible(page, `the overview, ${colorScheme}`);
    for (const id of ['web-1', 'web-2', 'nightly-backup', 'db-1']) {
      await page.goto(`${stage.url}p/${id}`);
      await expect(page.locator('.strip i').first()).toBeVisible();
      if (id === 'web-1') await expect(page.locator('.chart canvas').first()).toBeVisible();
      await accessible(page, `${id}, ${colorScheme}`);
    }
  }
});
