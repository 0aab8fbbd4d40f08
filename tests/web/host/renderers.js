/** Tests in the real front end on the real host, in both renderers; skipped without a browser or a host. */

import { afterAll, beforeAll, describe } from 'vitest';
import { whyNoBrowser } from '../chromium.js';
import { startHost, whyNoHost } from './comfy.js';
import { openFrontEnd } from './graph.js';

/**
 * @typedef {{host: import('./comfy.js').Host, front: import('./graph.js').FrontEnd}} Open  while tests run
 */

/**
 * One host for all tests, and a page of it for each renderer.
 *
 * @param {(open: Open) => void} tests  defines them; what it is given holds host and page when they run
 * @param {string} [frontEnd]  its folder
 */
export function inBothRenderers(tests, frontEnd) {
  const open = /** @type {Open} */ ({});
  const skipped = Boolean(whyNoBrowser || whyNoHost());
  if (!skipped) {
    beforeAll(async () => {
      open.host = await startHost(frontEnd);
    });
    afterAll(() => open.host?.stop());
  }
  describe.skipIf(skipped).each([
    ['classic', false],
    ['Nodes 2.0', true],
  ])('%s', (_, vue) => {
    beforeAll(async () => {
      open.front = await openFrontEnd(open.host.url, vue);
    });
    afterAll(() => open.front?.close());

    tests(open);
  });
}
