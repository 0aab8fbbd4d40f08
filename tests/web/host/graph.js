/** The real front end in a browser, with a graph of the builder and a node that saves its cameras. */

import { readFileSync } from 'node:fs';
import { launch } from '../chromium.js';

export const BUILDER = 'CVD_CameraTrajectoryBuilder';

/** What is drawn from: two views side by side. */
const START = '{"version": 2, "rig": {"name": "stereo", "baseline": 0.8}}';

/**
 * @param {string} url
 * @param {boolean} vue  Nodes 2.0
 */
export async function openFrontEnd(url, vue) {
  const browser = await launch();
  const page = await browser.newPage({ viewport: { width: 1500, height: 1150 } });
  /** @type {string[]} */
  const errors = [];
  page.on('pageerror', (error) => {
    if (error.stack?.includes('collaborative-video-diffusion')) errors.push(error.stack);
  });
  const front = new FrontEnd(browser, page, errors, vue);
  await page.goto(url);
  await front.ready();
  await page.evaluate(async (on) => {
    const { setting } = window.app.extensionManager;
    await setting.set('Comfy.VueNodes.Enabled', on);
    await setting.set('Comfy.TutorialCompleted', true);
    await setting.set('Comfy.Minimap.Visible', false);
    await setting.set('Comfy.Workflow.Persist', false);
  }, vue);
  await page.reload();
  await front.ready();
  return front;
}

export class FrontEnd {
  /**
   * @param {import('playwright-core').Browser} browser
   * @param {import('playwright-core').Page} page
   * @param {string[]} errors  thrown in this pack's files
   * @param {boolean} vue  Nodes 2.0
   */
  constructor(browser, page, errors, vue) {
    this.browser = browser;
    this.page = page;
    this.errors = errors;
    this.vue = vue;
  }

  /** Started, and done with the graph that it opens by itself, which would come in the place of another. */
  async ready() {
    const wait = { timeout: 120_000 };
    const started = () => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100;
    await this.page.waitForFunction(started, null, wait);
    await this.page.waitForFunction(
      (early) => {
        const { workflow, setting } = window.app.extensionManager;
        return workflow.activeWorkflow || (early && !setting.get('Comfy.Workflow.Persist'));
      },
      await this.early(),
      wait,
    );
  }

  /**
   * Before 1.30: its Nodes 2.0 shows no elements of extensions, no videos and no widgets that come late, its subgraphs show
   * no widgets, and it opens no graph by itself where it keeps none.
   */
  early() {
    return this.page.evaluate(() => Number(window.__COMFYUI_FRONTEND_VERSION__?.split('.')[1]) < 30);
  }

  /** A fresh graph. @param {object} [settings]  of the builder @param {object} [others]  more nodes, by id */
  async build(settings = {}, others = {}) {
    await this.leaveWindow();
    if (this.vue) {
      // early front ends go on showing the nodes of the graph before
      await this.page.reload();
      await this.ready();
    }
    await this.page.evaluate(async ([type, trajectory, more, also]) => {
      await window.app.loadApiJson(
        {
          1: { class_type: type, inputs: { views: 2, frames: 16, width: 256, height: 256, trajectory, ...more } },
          2: {
            class_type: 'CVD_SaveCameraPoses',
            inputs: { cameras: ['1', 0], format: 'nerfstudio', filename_prefix: 'drawn', width: 256, height: 256 },
          },
          ...also,
        },
        'drawn',
      );
    }, /** @type {const} */ ([BUILDER, START, settings, others]));
    await this.shown();
  }

  /**
   * The builder's node in view, all others beside it, and its editor open: in the node, or by its button where the node
   * cannot show it.
   */
  async shown() {
    await this.page.evaluate((type) => {
      const { app } = window;
      let y = 0;
      for (const node of app.canvas.graph.nodes) {
        node.pos = node.type === type ? [0, 0] : [620, y];
        if (node.type !== type) y += node.size[1] + 100;
      }
      app.canvas.ds.scale = 1;
      app.canvas.ds.offset = [250, 140];
      app.canvas.setDirty(true, true);
    }, BUILDER);
    const editor = this.page.locator('.cvd-editor').first();
    const button = this.page.locator('[data-node-id]', { hasText: 'edit camera paths' }).locator('.p-button').last();
    for (let tries = 0; tries < 20 && !(await editor.isVisible()); tries++) {
      // a button of the graph before may still be there
      if (await button.isVisible()) await button.click();
      await editor.waitFor({ timeout: 1000 }).catch(() => {});
    }
    await this.settled();
  }

  async settled() {
    await this.page.waitForFunction(() => document.querySelector('.cvd-editor')?.editor.loop.visible);
    await this.page.evaluate(
      () =>
        new Promise((done) => {
          setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 60);
        }),
    );
  }

  /** The text of the builder's widget. @returns {Promise<string>} */
  text() {
    return this.page.evaluate((type) => {
      const node = window.app.canvas.graph.nodes.find((/** @type {any} */ of) => of.type === type);
      return node.widgets.find((/** @type {any} */ widget) => widget.name === 'trajectory').value;
    }, BUILDER);
  }

  /** What the editor shows: camera-to-world matrices by view, and what surrounds them. */
  shows() {
    return this.page.evaluate(() => {
      const { session } = document.querySelector('.cvd-editor').editor;
      session.build();
      return {
        text: session.text,
        error: session.error,
        frame: session.frame,
        views: session.built.views.map((/** @type {any} */ view) => ({
          name: view.name,
          c2w: [...view.c2w],
          intrinsics: [...view.intrinsics],
        })),
      };
    });
  }

  /** Where a world point is on the page, in the plan pane. @param {number[]} point */
  at(point) {
    return this.page.evaluate((p) => {
      const { panes } = document.querySelector('.cvd-editor').editor;
      const pane = panes.find((/** @type {any} */ of) => of.kind === 'plan');
      const box = pane.canvas.getBoundingClientRect();
      const { x, y } = pane.projection.project(p);
      const scale = box.width / pane.canvas.clientWidth;
      return { x: box.left + x * scale, y: box.top + y * scale };
    }, point);
  }

  /** @param {number[]} from @param {number[]} to */
  async drag(from, to) {
    const [a, b] = [await this.at(from), await this.at(to)];
    await this.page.mouse.move(a.x, a.y);
    await this.page.mouse.down();
    await this.page.mouse.move(b.x, b.y, { steps: 8 });
    await this.page.mouse.up();
    await this.settled();
  }

  /** Press Run and wait. @returns {Promise<{file: any, error: string}>} what the saving node wrote */
  async run() {
    const left = await this.leaveWindow();
    const done = this.page.evaluate(
      () =>
        new Promise((resolve) => {
          const { api } = window.app;
          /** @type {any} */
          const result = { paths: '', error: '' };
          api.addEventListener('executed', (/** @type {any} */ { detail }) => {
            if (detail.node === '2') [result.paths] = detail.output.text;
          });
          api.addEventListener('execution_success', () => resolve(result), { once: true });
          api.addEventListener(
            'execution_error',
            (/** @type {any} */ { detail }) => resolve({ ...result, error: detail.exception_message }),
            { once: true },
          );
        }),
    );
    await this.page.locator('[data-testid="queue-button"]').click();
    const { paths, error } = await done;
    if (left) await this.shown();
    return { error, file: error ? null : JSON.parse(readFileSync(paths.split('\n')[0], 'utf8')) };
  }

  /** Back into the node. @returns {Promise<boolean>} whether the editor filled the window */
  async leaveWindow() {
    if ((await this.page.locator('dialog.cvd-window').count()) === 0) return false;
    await this.page.locator('[title^="Back into the node"]').click();
    await this.page.locator('dialog.cvd-window').waitFor({ state: 'detached' });
    return true;
  }

  async close() {
    await this.browser.close();
  }
}

/**
 * Camera-to-world matrices (OpenCV axes) by view name of a nerfstudio file, whose cameras look along -z with y up.
 *
 * @param {any} file
 * @returns {Map<string, number[][]>}
 */
export function posesOf(file) {
  /** @type {Map<string, number[][]>} */
  const views = new Map();
  for (const { view, frame, transform_matrix: rows } of file.frames) {
    if (!views.has(view)) views.set(view, []);
    const poses = /** @type {number[][]} */ (views.get(view));
    poses[frame] = rows.flatMap((/** @type {number[]} */ [x, y, z, t]) => [x, -y, -z, t]);
  }
  return views;
}
