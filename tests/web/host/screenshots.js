/**
 * Pictures for the documentation, taken in the real front end: of the editor, and of the first template after Run.
 * `node screenshots.js FOLDER`.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { boxOf } from '../chromium.js';
import { startHost } from './comfy.js';
import { openFrontEnd } from './graph.js';

const TARGET = [0, 0, 1];
const TEMPLATE = fileURLToPath(new URL('../../../example_workflows/1 Start here.json', import.meta.url));
/** Milliseconds that the small model may take. */
const RUN = 600_000;

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

/**
 * The template that needs no files, with the video that it makes.
 *
 * @param {string} url
 * @param {boolean} vue  Nodes 2.0
 * @param {string} folder
 */
async function shootTemplate(url, vue, folder) {
  const front = await openFrontEnd(url, vue);
  try {
    const { page } = front;
    await page.setViewportSize({ width: 1800, height: 1300 });
    await page.evaluate(async () => {
      const { setting } = window.app.extensionManager;
      await setting.set('Comfy.Graph.CanvasInfo', false);
      await setting.set('LiteGraph.Canvas.MinFontSizeForLOD', 0); // text however small
    });
    await page.evaluate((graph) => window.app.loadGraphData(graph), JSON.parse(readFileSync(TEMPLATE, 'utf8')));
    const done = page.evaluate(
      () => new Promise((resolve) => window.app.api.addEventListener('execution_success', resolve, { once: true })),
    );
    await page.locator('[data-testid="queue-button"]').click();
    await Promise.race([done, page.waitForTimeout(RUN)]);
    await page.evaluate(showAll, vue); // what is out of sight plays no video
    await page.waitForFunction(() => {
      const video = document.querySelector('video');
      return video && video.currentTime > 0;
    });
    const clip = await page.evaluate(showAll, vue);
    await page.evaluate(async () => {
      const video = /** @type {HTMLVideoElement} */ (document.querySelector('video'));
      video.pause();
      video.controls = false; // as while it plays: then browsers hide them
      video.currentTime = video.duration * 0.45; // where the views are far apart
      await new Promise((shown) => video.addEventListener('seeked', shown, { once: true }));
    });
    await page.waitForTimeout(1000);
    await page.screenshot({ path: join(folder, vue ? 'start-nodes-2.png' : 'start.png'), clip });
  } finally {
    await front.close();
  }
}

/** Runs in the page: brings all nodes into sight and returns where they are on the page. */
function showAll(/** @type {boolean} */ vue) {
  const { app, LiteGraph } = window;
  const title = LiteGraph.NODE_TITLE_HEIGHT;
  const margin = 20;
  const { ds } = app.canvas;
  const boxes = [
    ...app.graph.nodes.map((/** @type {any} */ node) => {
      const element = vue && document.querySelector(`[data-node-id="${node.id}"]`);
      const height = element ? element.getBoundingClientRect().height / ds.scale : node.size[1] + title;
      return [node.pos[0], node.pos[1] - title, node.size[0], height];
    }),
    ...app.graph.groups.map((/** @type {any} */ group) => [...group.pos, ...group.size]),
  ];
  const left = Math.min(...boxes.map(([x]) => x)) - margin;
  const top = Math.min(...boxes.map(([, y]) => y)) - margin;
  const width = Math.max(...boxes.map(([x, , w]) => x + w)) + margin - left;
  const height = Math.max(...boxes.map(([, y, , h]) => y + h)) + margin - top;
  // beside the front end's own menus, which lie over the graph
  const [x, y, right, bottom] = [80, 110, innerWidth - 10, innerHeight - 10];
  const room = app.canvas.canvas.getBoundingClientRect();
  const scale = Math.min((right - x) / width, (bottom - y) / height);
  ds.scale = scale;
  ds.offset = [(x - room.left) / scale - left, (y - room.top) / scale - top];
  app.canvas.deselectAll();
  app.canvas.setDirty(true, true);
  return { x, y, width: Math.floor(width * scale), height: Math.floor(height * scale) };
}

const folder = process.argv[2];
const host = await startHost();
try {
  for (const vue of [false, true]) {
    await shoot(host.url, vue, folder);
    await shootTemplate(host.url, vue, folder);
  }
} finally {
  await host.stop();
}
