/** What nodes show after a run, in the real front end: videos play by themselves. */

import { expect, test } from 'vitest';
import { inBothRenderers } from './renderers.js';

inBothRenderers((open) => {
  test('a combined video plays, muted and again and again', async () => {
    await open.front.build(
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
    expect((await open.front.run()).error).toBe('');
    const playing = () => {
      const node = window.app.graph.nodes.find((/** @type {any} */ of) => of.type === 'CVD_MultiViewVideoCombine');
      const video =
        node.videoContainer?.querySelector('video') ?? document.querySelector(`[data-node-id="${node.id}"] video`);
      return video && !video.paused && video.currentTime > 0 && [video.muted, video.loop, video.controls];
    };
    const found = await open.front.page.waitForFunction(playing, null, { timeout: 20_000 });
    expect(await found.jsonValue()).toEqual([true, true, true]);
    expect(open.front.errors).toEqual([]);
  });
});
