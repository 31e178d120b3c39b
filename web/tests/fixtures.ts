// What every test has: a stage, and a page on which nothing may go wrong that the test did not ask for.
import AxeBuilder from '@axe-core/playwright';
import { test as base, expect } from '@playwright/test';
import type { BrowserContext, Locator, Page } from '@playwright/test';
import { Stage } from './stage';

/** What went wrong in the browser. */
export class Faults {
  readonly found: string[] = [];
  private readonly allowed: RegExp[] = [];

  constructor(private readonly stage: Stage) {}

  /** What a test brings about itself. */
  allow(...what: RegExp[]): void {
    this.allowed.push(...what);
  }

  async watch(context: BrowserContext): Promise<void> {
    context.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.note(`console ${message.type()}: ${message.text()} (${message.location().url})`);
    });
    context.on('weberror', (error) => this.note(`page error: ${error.error().stack ?? error.error().message}`));
    context.on('requestfailed', (request) => {
      const why = request.failure()?.errorText ?? 'no reason';
      // The page itself gives up requests and its stream when its reader goes on.
      if (why !== 'net::ERR_ABORTED') this.note(`request failed: ${request.method()} ${request.url()}: ${why}`);
    });
    context.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol !== 'data:' && url.protocol !== 'about:' && url.origin !== new URL(this.stage.url).origin) this.note(`request to elsewhere: ${request.url()}`);
    });
    context.on('response', (response) => {
      if (response.status() >= 400) this.note(`answer ${response.status()}: ${response.request().method()} ${response.url()}`);
    });
    await context.addInitScript(() => addEventListener('securitypolicyviolation', (event) => {
      console.error(`CSP: ${event.violatedDirective} forbids ${event.blockedURI || event.sample} at ${event.sourceFile}:${event.lineNumber}`);
    }));
  }

  private note(what: string): void {
    if (!this.allowed.some((one) => one.test(what))) this.found.push(what);
  }
}

/** What the browser says when the subscriber is gone. */
export const GONE = /ERR_(CONNECTION_(REFUSED|RESET|CLOSED)|INCOMPLETE_CHUNKED_ENCODING|EMPTY_RESPONSE)/;

export const test = base.extend<{ stage: Stage; faults: Faults }>({
  stage: async ({}, use, info) => {
    const stage = new Stage();
    await use(stage);
    if (info.status !== info.expectedStatus) {
      if (!process.env.QUIET) for (const one of stage.processes) await info.attach(`${one.name}.log`, { body: one.said(), contentType: 'text/plain' });
    }
    await stage.close();
  },
  faults: [async ({ context, stage }, use) => {
    const faults = new Faults(stage);
    await faults.watch(context);
    await use(faults);
    expect(faults.found, 'what went wrong in the browser').toEqual([]);
  }, { auto: true }],
});

export { expect };

/** A publisher's row on the overview. */
export const row = (page: Page, id: string): Locator => page.locator('.table .row:visible', { has: page.getByRole('link', { name: id, exact: true }) });

/** Waits until the page is live. */
export async function live(page: Page): Promise<void> {
  await expect(page.locator('.pill')).toHaveText('live');
}

const GRAVE = ['serious', 'critical'];

/** Nothing on the page keeps people out, as far as axe can tell. All its rules are on. */
export async function accessible(page: Page, what: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const told = violations.filter((one) => GRAVE.includes(one.impact ?? ''))
    .map((one) => `${one.id} (${one.impact}): ${one.help}\n${one.nodes.map((node) => `  ${node.target.join(' ')}: ${node.failureSummary}`).join('\n')}`);
  expect(told, `axe on ${what}`).toEqual([]);
}
