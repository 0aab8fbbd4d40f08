import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    dir: new URL('.', import.meta.url).pathname,
    globalSetup: new URL('./say_why.js', import.meta.url).pathname,
    fileParallelism: false, // frames are timed
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
