/** Pictures of the editor for the documentation, taken in the real front end: `node screenshots.js FOLDER`. */

import { join } from 'node:path';
import { boxOf } from '../chromium.js';
import { startHost } from './comfy.js';
import { openFrontEnd } from './graph.js';

const TARGET = [0, 0, 1];

/** A path of keyframes that look at the subject. */
const path = (
  /** @type {string} */ name,
  /** @type {any} */ color,
  /** @type {any} */ easing,
  /** @type {any[]} */ ...places
) => ({
  name,
  color,
  easing,
  keyframes: places.map((position) => ({ position, look_at: TARGET })),
});

const PATHS = JSON.stringify({
  version: 2,
  views: [
    path(
      'hero',
      '#3B9EFF',
      [
        [0.25, 0.16],
        [0.75, 0.84],
      ],
      [0, 0, 0],
      [0.25, -0.05, 0.05],
      [0.5, -0.18, 0.25],
      [0.62, -0.28, 0.55],
    ),
    path('left', '#FF7A33', 'ease-out', [0, 0, 0], [-0.3, 0, 0.02], [-0.62, 0.05, 0.3]),
    path('crane', '#2CC295', 'ease-in-out', [0, 0, 0], [0, -0.3, 0.05], [-0.05, -0.62, 0.4]),
  ],
});

/** Select a keyframe and a frame that show much. @param {import('playwright-core').Page} page */
const select = (page) =>
  page.evaluate(() => {
    const { session } = document.querySelector('.cvd-editor').editor;
    session.select(0, 2);
    session.setFrame(15);
  });

/**
 * The builder's node as a front end shows it; of the classic one, the editor in the window too.
 *
 * @param {string} url
 * @param {boolean} vue  Nodes 2.0
 * @param {string} folder
 */
async function shoot(url, vue, folder) {
  const front = await openFrontEnd(url, vue);
  try {
    const { page } = front;
    await front.build({ views: 3, frames: 24, width: 384, trajectory: PATHS });
    await select(page);
    await front.settled();
    const box = await boxOf(page.locator('.cvd-editor'));
    const above = vue ? 250 : 218; // the title and the node's own widgets
    const clip = {
      x: box.x - 20,
      y: Math.max(box.y - above, 0),
      width: box.width + 40,
      height: box.height + above + 14,
    };
    await page.screenshot({ path: join(folder, vue ? 'editor-nodes-2.png' : 'editor.png'), clip });
    if (vue) return;
    await page.setViewportSize({ width: 1440, height: 860 });
    await page.locator('[title^="Fill the window"]').click();
    await front.settled();
    await page.screenshot({ path: join(folder, 'editor-window.png') });
  } finally {
    await front.close();
  }
}

const folder = process.argv[2];
const host = await startHost();
try {
  for (const vue of [false, true]) await shoot(host.url, vue, folder);
} finally {
  await host.stop();
}
