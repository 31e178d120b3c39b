import { defineConfig } from 'vite';

// The server forbids inline scripts and styles (CSP `'self'` only): nothing is inlined, every asset is a hashed file.
export default defineConfig({
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    // What the bundle has of others, with their terms: the subscriber hands it out, too.
    license: { fileName: 'licenses.md' },
  },
  server: {
    proxy: Object.fromEntries(['/api', '/healthz', '/readyz', '/metrics'].map((path) => [path, 'http://127.0.0.1:8787'])),
  },
});
