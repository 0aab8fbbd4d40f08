/** The editor has room in its node and keeps it, on every front end and in both renderers. */

import { describe, expect, test } from 'vitest';
import { boxOf } from '../chromium.js';
import { frontEnds } from './comfy.js';
import { BUILDER } from './graph.js';
import { inBothRenderers } from './renderers.js';

/** Pixels that a pane has at least, each way. */
const LEAST_PANE = 100;
/** Height of the editor, and of what is below its panes: the time line and the panel of fields, where there are. */
const LEAST_EDITOR = 600;
const BELOW_PANES = 60;

describe.each(frontEnds)('front end %s', (frontEnd) => {
  inBothRenderers((open) => {
    /** The editor is as high as it asks to be, and its panes are large enough and within it. */
    async function expectRoom() {
      await open.front.settled();
      const panes = open.front.page.locator('.cvd-pane').filter({ visible: true });
      const boxes = await Promise.all((await panes.all()).map(boxOf));
      expect(boxes.length).toBeGreaterThan(0);
      const editor = await boxOf(open.front.page.locator('.cvd-editor').first());
      expect(editor.height).toBeGreaterThanOrEqual(LEAST_EDITOR);
      for (const { x, y, width, height } of boxes) {
        expect(x + width).toBeLessThanOrEqual(editor.x + editor.width + 1);
        expect(y + height).toBeLessThanOrEqual(editor.y + editor.height - BELOW_PANES);
        expect(width).toBeGreaterThanOrEqual(LEAST_PANE);
        expect(height).toBeGreaterThanOrEqual(LEAST_PANE);
      }
    }

    /** Select the builder's node, or nothing. */
    const select = (/** @type {boolean} */ on) =>
      open.front.page.evaluate(([type, wanted]) => {
        const { canvas } = window.app;
        const node = canvas.graph.nodes.find((/** @type {any} */ of) => of.type === type);
        if (wanted) canvas.selectNode(node);
        else canvas.deselectAll();
        canvas.setDirty(true, true);
      }, /** @type {const} */ ([BUILDER, on]));

    test('a new node has room for its panes', async () => {
      await open.front.build();
      await expectRoom();
    });

    test('so has a node that was saved smaller', async () => {
      await open.front.build();
      const saved = await open.front.page.evaluate((type) => {
        const graph = JSON.parse(JSON.stringify(window.app.graph.serialize()));
        const node = graph.nodes.find((/** @type {any} */ of) => of.type === type);
        node.size = [300, 260];
        return graph;
      }, BUILDER);
      await open.front.page.evaluate((graph) => window.app.loadGraphData(graph), saved);
      await open.front.shown();
      await expectRoom();
    });

    test('selecting the node changes no width, with the panel of properties open or closed', async () => {
      await open.front.build();
      const width = async () => (await boxOf(open.front.page.locator('.cvd-editor').first())).width;
      const before = await width();
      for (const shown of [true, false]) {
        await open.front.page.evaluate(async (on) => {
          const { setting } = window.app.extensionManager;
          // Early front ends have no panel of properties.
          if (setting.get('Comfy.RightSidePanel.IsOpen') !== undefined) {
            await setting.set('Comfy.RightSidePanel.IsOpen', on);
          }
        }, shown);
        for (const on of [true, false, true]) {
          await select(on);
          await open.front.settled();
          await open.front.page.waitForTimeout(300); // the panel slides in
          expect(await width()).toBeCloseTo(before, 0);
        }
        await expectRoom();
      }
    });
  }, frontEnd);
});
