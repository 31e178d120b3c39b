import { defineConfig } from '@playwright/test';

// Each test starts its own programs on free ports. They are what `cargo build` made; the page is what `npm run build` made.
export default defineConfig({
  testDir: 'tests',
  outputDir: '../target/browser',
  workers: 1,
  forbidOnly: !!process.env.CI,
  // All waiting is for conditions; these are for a busy machine.
  timeout: 300_000,
  expect: { timeout: 90_000 },
  reporter: 'list',
  use: {
    browserName: 'chromium',
    viewport: { width: 1280, height: 800 },
    locale: 'en-GB',
    timezoneId: 'UTC',
    colorScheme: 'light',
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-quic', '--disable-gpu'],
    },
  },
});
