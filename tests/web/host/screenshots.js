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

async function main(/** @type {any} */ folder) {
  const host = await startHost();
  const front = await openFrontEnd(host.url, false);
  try {
    const { page } = front;
    await front.build({ views: 3, frames: 24, width: 384, trajectory: PATHS });
    const select = () =>
      page.evaluate(() => {
        const { session } = document.querySelector('.cvd-editor').editor;
        session.select(0, 2);
        session.setFrame(15);
      });
    await select();
    await front.settled();
    const box = await boxOf(page.locator('.cvd-editor'));
    const clip = { x: box.x - 14, y: box.y - 218, width: box.width + 28, height: box.height + 232 };
    await page.screenshot({ path: join(folder, 'editor.png'), clip });
    await page.setViewportSize({ width: 1440, height: 860 });
    await page.locator('[title^="Fill the window"]').click();
    await page.evaluate(() => document.querySelector('.cvd-editor').editor.panel.show('speed'));
    await front.settled();
    await page.screenshot({ path: join(folder, 'editor-window.png') });
  } finally {
    await front.close();
    await host.stop();
  }
}

await main(process.argv[2]);
