/** What nodes show after a run, in the real front end: videos play by themselves. */

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
});
