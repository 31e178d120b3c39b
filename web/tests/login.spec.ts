// With a user and a password set nobody gets in without them.
import { expect, live, row, test } from './fixtures';

test('no page without the login, none with a wrong one, all of it with the right one', async ({ browser, page, stage, faults }) => {
  stage.as('operator', 'correct horse');
  await stage.watch({ options: ['--http-user', 'operator'], env: { LASTBEAT_HTTP_PASSWORD: 'correct horse' } });
  stage.publisher('light-1');
  await stage.are({ 'light-1': 'alive' });

  for (const httpCredentials of [undefined, { username: 'operator', password: 'wrong' }, { username: 'other', password: 'correct horse' }]) {
    const context = await browser.newContext(httpCredentials ? { httpCredentials } : {});
    const stranger = await context.newPage();
    // Without a login the browser asks for one, which here is the end of it.
    const answers: number[] = [];
    context.on('response', (response) => answers.push(response.status()));
    const answer = await stranger.goto(stage.url).catch((error: Error) => {
      expect(error.message).toContain('ERR_INVALID_AUTH_CREDENTIALS');
      return null;
    });
    if (answer) {
      expect(answer.status()).toBe(401);
      expect(answer.headers()['www-authenticate']).toMatch(/^Basic realm="lastbeat"/);
    }
    await expect(stranger.locator('#app')).toHaveCount(0);
    expect(await stranger.content()).not.toContain('light-1');
    expect(answers.filter((status) => status < 400)).toEqual([]);
    await context.close();
  }
  for (const path of ['', 'p/light-1', 'api/v1/publishers', 'api/v1/events', 'metrics']) {
    const answer = await fetch(stage.url + path);
    expect(answer.status, path).toBe(401);
    expect(answer.headers.get('www-authenticate'), path).toMatch(/^Basic realm="lastbeat"/);
    await answer.body?.cancel();
  }

  const context = await browser.newContext({ httpCredentials: { username: 'operator', password: 'correct horse' } });
  await faults.watch(context);
  const known = await context.newPage();
  // The browser tries without the login first.
  faults.allow(/^answer 401/, /status of 401/);
  await known.goto(stage.url);
  await live(known);
  await expect(row(known, 'light-1')).toHaveAttribute('data-state', 'alive');
  // The event stream is behind the login, too: who comes now appears.
  stage.publisher('light-2');
  await expect(row(known, 'light-2')).toHaveAttribute('data-state', 'alive');
  await row(known, 'light-2').getByRole('link').click();
  await known.getByRole('group', { name: 'Pause for' }).getByRole('button', { name: '15 min' }).click();
  await expect(known.locator('.hero-state')).toHaveText('paused');
  await context.close();
  await page.close();
});
