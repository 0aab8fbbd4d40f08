/** What nodes show after a run, in the real front end: videos play by themselves, previews of cameras are there. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { whyNoBrowser } from '../chromium.js';
import { startHost, whyNoHost } from './comfy.js';
import { openFrontEnd } from './graph.js';

/** @type {import('./comfy.js').Host} */
let host;
const skipped = Boolean(whyNoBrowser || whyNoHost());
if (!skipped) {
  beforeAll(async () => {
    host = await startHost();
  });
  afterAll(() => host?.stop());
}

describe.skipIf(skipped).each([
  ['classic', false],
  ['Nodes 2.0', true],
])('%s', (_, vue) => {
  /** @type {import('./graph.js').FrontEnd} */
  let front;
  beforeAll(async () => {
    front = await openFrontEnd(host.url, vue);
  });
  afterAll(() => front?.close());

  test('a combined video plays, muted and again and again', async () => {
    await front.build(
      {},
      {
        3: { class_type: 'EmptyImage', inputs: { width: 64, height: 64, batch_size: 8, color: 255 } },
        4: {
          class_type: 'CVD_MultiViewVideoCombine',
          inputs: {
            images: ['3', 0],
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
      },
    );
    expect((await front.run()).error).toBe('');
    const playing = () => {
      const node = window.app.graph.nodes.find((/** @type {any} */ of) => of.type === 'CVD_MultiViewVideoCombine');
      const video =
        node.videoContainer?.querySelector('video') ?? document.querySelector(`[data-node-id="${node.id}"] video`);
      return video && !video.paused && video.currentTime > 0 && [video.muted, video.loop, video.controls];
    };
    const found = await front.page.waitForFunction(playing, null, { timeout: 20_000 });
    expect(await found.jsonValue()).toEqual([true, true, true]);
    expect(front.errors).toEqual([]);
  });

  test('rays and bands are shown where nothing uses them, and again after a reload', async () => {
    const size = { width: 64, height: 64 };
    await front.build(
      { views: 2, frames: 3 },
      {
        3: { class_type: 'CVD_PluckerEmbed', inputs: { cameras: ['1', 0], ...size } },
        4: {
          class_type: 'CVD_EpipolarMask',
          inputs: {
            cameras: ['1', 0],
            ...size,
            band: 'soft',
            threshold: 3,
            query_view: 0,
            query_x: 0.4,
            query_y: 0.4,
          },
        },
      },
    );
    // classic nodes show animated pictures in a widget, Nodes 2.0 in the node
    const shown = () =>
      [...document.querySelectorAll('img')].filter(
        (image) => image.src.includes('CVD_preview') && image.naturalWidth > 0,
      ).length >= 2;
    expect((await front.run()).error).toBe('');
    await front.page.waitForFunction(shown, null, { timeout: 20_000 });

    const saved = await front.page.evaluate(() => JSON.parse(JSON.stringify(window.app.graph.serialize())));
    await front.page.reload();
    await front.ready();
    await front.page.evaluate((graph) => window.app.loadGraphData(graph), saved);
    await front.page.waitForFunction(shown, null, { timeout: 20_000 });
    expect(front.errors).toEqual([]);
  });
});
