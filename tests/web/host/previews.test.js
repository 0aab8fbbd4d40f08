/** What nodes show after a run, in the real front end: pictures, videos that play by themselves, words. */

import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inBothRenderers } from './renderers.js';

const SIZE = { width: 64, height: 64 };
const PATIENCE = { timeout: 20_000 };

let made = 0;
/** Nodes that show something - rays, bands, a video -, by id; never the same, so that they run and make their files. */
const showing = () => ({
  3: { class_type: 'CVD_PluckerEmbed', inputs: { cameras: ['1', 0], width: 64, height: 64 + 8 * ++made } },
  4: {
    class_type: 'CVD_EpipolarMask',
    inputs: {
      cameras: ['1', 0],
      ...SIZE,
      band: 'soft',
      threshold: made,
      query_view: 0,
      query_x: 0.4,
      query_y: 0.4,
    },
  },
  5: { class_type: 'EmptyImage', inputs: { ...SIZE, batch_size: 8, color: made } },
  6: {
    class_type: 'CVD_MultiViewVideoCombine',
    inputs: {
      images: ['5', 0],
      views: 2,
      layout: 'row',
      view_order: '',
      labels: '',
      mode: 'normal',
      repeats: 2,
      switch_frame: -1,
      switch_hold: 2,
      fps: 8,
      format: 'webm',
      quality: 90,
      filename_prefix: 'video/played',
      save: false,
    },
  },
});

/** Where those nodes stand, side by side. @type {Record<number, number[]>} */
const PLACES = { 3: [0, 0], 4: [520, 0], 6: [1040, 0] };

/** What a node shows: the classic one in a widget or as what it paints, that of Nodes 2.0 in its element. */
const shown = () => {
  const of = (/** @type {string} */ type) =>
    window.app.graph.nodes.find((/** @type {any} */ node) => node.type === type);
  /** @type {(type: string, kind: string) => any[]} */
  const elements = (type, kind) => {
    const node = of(type);
    const own = document.querySelectorAll(`[data-node-id="${node?.id}"] ${kind}`);
    const widgets = node?.widgets?.flatMap((/** @type {any} */ { element }) =>
      element?.matches?.(kind) ? [element] : [...(element?.querySelectorAll?.(kind) ?? [])],
    );
    return [...own, ...(widgets ?? []), ...(kind === 'img' ? (node?.imgs ?? []) : [])];
  };
  const pictures = ['CVD_PluckerEmbed', 'CVD_EpipolarMask'].map((type) =>
    elements(type, 'img').some((image) => image.src.includes('CVD_preview') && image.naturalWidth > 0),
  );
  const video = elements('CVD_MultiViewVideoCombine', 'video').find((found) => found.videoWidth > 0);
  const plays = video && !video.paused && video.currentTime > 0 && [video.muted, video.loop, video.controls];
  return { pictures, plays: plays || [] };
};
/** Whether everything is shown. @param {boolean} videos  which early front ends do not show in Nodes 2.0 */
const all = (videos) =>
  `(() => { const {pictures, plays} = (${shown})(); return pictures.every(Boolean) && plays.length === ${videos ? 3 : 0}; })()`;

inBothRenderers((open) => {
  /** @param {boolean} on  whether the front end opens what was open before a reload */
  const persist = (on) =>
    open.front.page.evaluate((value) => window.app.extensionManager.setting.set('Comfy.Workflow.Persist', value), on);

  const saved = () => open.front.page.evaluate(() => JSON.parse(JSON.stringify(window.app.graph.serialize())));

  /** @param {object} nodes  of the graph, besides builder and saving node @returns {Promise<any>} as it is saved */
  async function build(nodes) {
    await open.front.build({ views: 2, frames: 3 }, nodes);
    const graph = await saved();
    graph.id = randomUUID(); // what is loaded in API format has none
    for (const node of graph.nodes) node.pos = PLACES[node.id] ?? [-1000, 0];
    await load(graph);
    return graph;
  }

  /** Nodes 2.0 draws only what is in sight, and early ones no pictures in small nodes. */
  const inSight = () =>
    open.front.page.evaluate(() => {
      const { canvas } = window.app;
      canvas.ds.scale = 0.85;
      canvas.ds.offset = [100, 140];
      canvas.setDirty(true, true);
    });

  async function load(/** @type {any} */ graph) {
    await open.front.page.evaluate((given) => window.app.loadGraphData(given), graph);
    await inSight();
  }

  /** What was shown is remembered: of each file the front end first asks the host. */
  const remembered = (/** @type {any} */ graph) =>
    open.front.page.waitForFunction(
      (id) => [3, 4, 6].every((node) => sessionStorage.getItem(`cvd.shown:${id}:${node}`)),
      graph.id,
      PATIENCE,
    );

  /** Whether this is an early Nodes 2.0, which shows no videos, and no widgets that come late. */
  const early = async () => open.front.vue && (await open.front.early());

  /** The page anew, with the graph that it had. */
  async function reload(/** @type {any} */ graph) {
    await open.front.page.reload();
    await open.front.ready();
    await load(graph);
  }

  test('pictures are there and videos play: after a run, after a reload, and not once their files are gone', async () => {
    const { page } = open.front;
    const videos = !(await early());
    const graph = await build(showing());
    expect((await open.front.run()).error).toBe('');
    await page.waitForFunction(all(videos), null, PATIENCE);
    // muted, again and again, with controls
    expect((await page.evaluate(shown)).plays).toEqual(videos ? [true, true, true] : []);

    await remembered(graph);
    await reload(graph);
    await page.waitForFunction(all(videos), null, PATIENCE);
    const time = () => page.evaluate(() => document.querySelector('video')?.currentTime);
    const before = await time();
    if (videos) await expect.poll(time, PATIENCE).not.toBe(before);

    const temporary = join(open.host.base, 'temp');
    for (const name of readdirSync(temporary)) rmSync(join(temporary, name), { recursive: true });
    await reload(graph);
    await page.waitForFunction(
      () => !Object.keys(sessionStorage).some((key) => /^cvd\.shown:.*:[346]$/.test(key)),
      null,
      PATIENCE,
    );
    expect(await page.evaluate(shown)).toEqual({ pictures: [false, false], plays: [] });
    expect(open.front.errors).toEqual([]);
  });

  /** What asks about a file waits for its answer. @param {import('playwright-core').Route} route */
  async function slowly(route) {
    if (route.request().method() === 'HEAD') await new Promise((done) => setTimeout(done, 1500));
    await route.continue();
  }

  test('so are they where the front end itself opens the graph again, over a slow connection', async () => {
    const { page } = open.front;
    const videos = !(await early());
    const graph = await build(showing());
    await persist(true);
    try {
      await load(graph);
      expect((await open.front.run()).error).toBe('');
      await page.waitForFunction(all(videos), null, PATIENCE);
      await remembered(graph);
      // some time after it was opened, and where depends on the version
      const stored = (/** @type {string} */ id) =>
        [localStorage, sessionStorage].some((storage) => Object.values(storage).some((text) => text.includes(id)));
      await page.waitForFunction(stored, graph.id, PATIENCE);
      await page.route('**/view?*', slowly); // so late that nothing else draws the graph any more
      await page.reload();
      await open.front.ready();
      await page.waitForFunction((id) => window.app.graph.id === id, graph.id, PATIENCE);
      await inSight();
      await page.waitForFunction(all(videos), null, PATIENCE);
    } finally {
      await page.unrouteAll({ behavior: 'wait' });
      await persist(false);
    }
    expect(open.front.errors).toEqual([]);
  });

  test('warnings of a reader stand in the node, and go with the next run', async ({ skip }) => {
    const { page } = open.front;
    if (await early()) skip('this front end shows no late widgets');
    const folder = join(open.host.base, 'input');
    mkdirSync(folder, { recursive: true });
    const write = (/** @type {object} */ lens) => {
      const frames = [0, 0.1].map((x) => ({
        transform_matrix: [
          [1, 0, 0, x],
          [0, 1, 0, 0],
          [0, 0, 1, 0],
          [0, 0, 0, 1],
        ],
      }));
      writeFileSync(join(folder, 'lens.json'), JSON.stringify({ w: 64, h: 64, fl_x: 60, fl_y: 60, ...lens, frames }));
    };
    const said = () =>
      page.evaluate(
        () =>
          [...document.querySelectorAll('textarea')].find((text) => text.value.startsWith('Warning: '))?.value ?? '',
      );
    write({ k1: 0.05 });
    await open.front.build(
      {},
      {
        3: {
          class_type: 'CVD_LoadCameraPoses',
          inputs: { files: 'lens.json', format: 'auto', frames: 0, start: 0, step: 0, intrinsics: '' },
        },
        4: { class_type: 'CVD_PluckerEmbed', inputs: { cameras: ['3', 0], ...SIZE } },
      },
    );
    expect((await open.front.run()).error).toBe('');
    await expect.poll(said, PATIENCE).toContain('lens distortion is left out');
    expect(await page.evaluate(() => JSON.stringify(window.app.graph.serialize()))).not.toContain('Warning: ');
    write({});
    expect((await open.front.run()).error).toBe('');
    await expect.poll(said, PATIENCE).toBe('');
    expect(open.front.errors).toEqual([]);
  });
});
