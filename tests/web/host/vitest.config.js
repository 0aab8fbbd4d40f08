import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    dir: new URL('.', import.meta.url).pathname,
    globalSetup: new URL('./say_why.js', import.meta.url).pathname,
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
});
