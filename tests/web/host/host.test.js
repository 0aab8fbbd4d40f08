/** The editor in the real front end on the real host, in both renderers: what is drawn is what runs. */

import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { boxOf, whyNoBrowser } from '../chromium.js';
import { startHost, whyNoHost } from './comfy.js';
import { BUILDER, openFrontEnd, posesOf } from './graph.js';

const PICTURE = fileURLToPath(new URL('../../../docs/cameras.png', import.meta.url));

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

  /** Executed poses equal those the editor shows. */
  async function expectRunAsShown() {
    const shown = await front.shows();
    const { file, error } = await front.run();
    expect(error).toBe('');
    const executed = posesOf(file);
    expect([...executed.keys()]).toEqual(shown.views.map((/** @type {any} */ view) => view.name));
    let worst = 0;
    for (const { name, c2w } of shown.views) {
      const poses = executed.get(name) ?? [];
      expect(poses).toHaveLength(c2w.length / 16);
      poses.flat().forEach((value, i) => {
        worst = Math.max(worst, Math.abs(value - c2w[i]));
      });
    }
    expect(worst).toBeLessThan(1e-6);
    return worst;
  }

  test('two views drawn by mouse: scrubbed, undone, run, saved, loaded again', async () => {
    await front.build();
    expect((await front.shows()).error).toBe('');
    await front.drag([-0.4, 0, 0], [-0.6, 0, 0.3]);
    await front.drag([0.4, 0, 0], [0.5, 0, -0.2]);
    const drawn = JSON.parse(await front.text());
    expect(drawn.views.map((/** @type {any} */ view) => view.keyframes.at(-1).position[2] > 0)).toEqual([true, false]);

    const track = await boxOf(front.page.locator('.cvd-track canvas'));
    await front.page.mouse.click(track.x + track.width / 2, track.y + 14);
    expect((await front.shows()).frame).toBeGreaterThan(5);

    const text = await front.text();
    await front.page.keyboard.press('Control+z');
    await front.settled();
    const undone = JSON.parse(await front.text());
    expect(undone.views[1].keyframes.at(-1).position[2]).toBeCloseTo(0, 6);
    await front.page.keyboard.press('Control+Shift+Z');
    await front.settled();
    expect(await front.text()).toBe(text);
    expect((await front.shows()).text).toBe(text);

    console.log(`executed and drawn poses differ by at most ${(await expectRunAsShown()).toExponential(1)}`);

    const shown = await front.shows();
    const saved = await front.page.evaluate(() => JSON.parse(JSON.stringify(window.app.graph.serialize())));
    expect(saved.nodes.find((/** @type {any} */ node) => node.type === BUILDER).widgets_values).toEqual([
      2,
      16,
      256,
      256,
      text,
    ]);
    await front.page.evaluate((graph) => window.app.loadGraphData(graph), saved);
    await front.shown();
    expect(await front.text()).toBe(text);
    expect((await front.shows()).views).toEqual(shown.views);
    expect(front.errors).toEqual([]);
  });

  test('the prompt holds the text and nothing of the editor', async () => {
    await front.build();
    const { output } = await front.page.evaluate(() => window.app.graphToPrompt());
    expect(Object.keys(output['1'].inputs).sort()).toEqual(['frames', 'height', 'trajectory', 'views', 'width']);
  });

  test('widgets of the node and the editor follow each other', async () => {
    await front.build();
    await front.page.evaluate((type) => {
      const node = window.app.graph.nodes.find((/** @type {any} */ of) => of.type === type);
      const set = (/** @type {string} */ name, /** @type {any} */ value) => {
        const widget = node.widgets.find((/** @type {any} */ of) => of.name === name);
        widget.value = value;
        widget.callback?.(value);
      };
      set('frames', 24);
      set('trajectory', '{"version": 2, "rig": {"name": "orbit"}}');
      set('views', 3);
    }, BUILDER);
    await front.settled();
    const { views } = await front.shows();
    expect(views).toHaveLength(3);
    expect(views[0].c2w).toHaveLength(16 * 24);
    const frames = front.page.locator('.cvd-editor [aria-label="Number of frames"]');
    await frames.fill('20');
    await frames.press('Enter');
    await front.settled();
    const of20 = await front.page.evaluate(
      (type) =>
        window.app.graph.nodes
          .find((/** @type {any} */ of) => of.type === type)
          .widgets.find((/** @type {any} */ widget) => widget.name === 'frames').value,
      BUILDER,
    );
    expect(of20).toBe(20);
    await front.page.locator('.cvd-editor [title="Add a view"]').click();
    await front.settled();
    const count = await front.page.evaluate(
      (type) => window.app.graph.nodes.find((/** @type {any} */ of) => of.type === type).widgets[0].value,
      BUILDER,
    );
    expect(count).toBe(4);
    await expectRunAsShown();
  });

  test('a copied node has an editor of its own', async () => {
    await front.build();
    await front.drag([-0.4, 0, 0], [-0.6, 0, 0.3]);
    const text = await front.text();
    const texts = () =>
      front.page.evaluate(
        (type) =>
          window.app.graph.nodes
            .filter((/** @type {any} */ of) => of.type === type)
            .map(
              (/** @type {any} */ node) =>
                node.widgets.find((/** @type {any} */ widget) => widget.name === 'trajectory').value,
            ),
        BUILDER,
      );
    await front.page.evaluate((type) => {
      const { app } = window;
      const node = app.graph.nodes.find((/** @type {any} */ of) => of.type === type);
      app.canvas.selectNode(node);
      app.canvas.copyToClipboard();
      app.canvas.graph_mouse = [20, 1100];
      app.canvas.pasteFromClipboard();
    }, BUILDER);
    expect(await texts()).toEqual([text, text]);
    await front.page.evaluate((type) => {
      const { app } = window;
      app.graph.remove(app.graph.nodes.filter((/** @type {any} */ of) => of.type === type)[1]);
    }, BUILDER);
    await front.settled();
    await front.drag([0.4, 0, 0], [0.6, 0, 0.2]);
    expect(await texts()).not.toEqual([text]);
    expect(front.errors).toEqual([]);
  });

  test('inside a subgraph the text is kept and runs', async () => {
    await front.build();
    await front.drag([-0.4, 0, 0], [-0.6, 0, 0.3]);
    const text = await front.text();
    const inner = await front.page.evaluate((type) => {
      const { app } = window;
      const node = app.graph.nodes.find((/** @type {any} */ of) => of.type === type);
      app.canvas.selectNode(node);
      const { subgraph } = app.graph.convertToSubgraph(new Set([node]));
      return subgraph.nodes
        .find((/** @type {any} */ of) => of.type === type)
        .widgets.find((/** @type {any} */ widget) => widget.name === 'trajectory').value;
    }, BUILDER);
    expect(inner).toBe(text);
    const { file, error } = await front.run();
    expect(error).toBe('');
    expect(posesOf(file).size).toBe(2);
    expect(front.errors).toEqual([]);
  });

  test('collapsed or removed, nothing of it goes on', async () => {
    await front.build();
    const left = () => front.page.evaluate(() => document.querySelectorAll('.cvd-editor').length);
    expect(await left()).toBe(1);
    await front.page.evaluate((type) => {
      window.kept = document.querySelector('.cvd-editor').editor;
      if (window.kept.fillsWindow) window.kept.toggleWindow();
      window.app.graph.nodes.find((/** @type {any} */ of) => of.type === type).collapse();
      window.app.canvas.setDirty(true, true);
    }, BUILDER);
    await front.page.waitForFunction(() => !window.kept.loop.visible);
    await front.page.evaluate(() => window.app.graph.clear());
    await front.page.waitForFunction(() => document.querySelectorAll('.cvd-editor').length === 0);
    expect(front.errors).toEqual([]);
  });

  test('a linked picture is seen through the lenses and changes no camera', async () => {
    mkdirSync(join(host.base, 'input'), { recursive: true });
    copyFileSync(PICTURE, join(host.base, 'input', 'picture.png'));
    await front.build({ image: ['3', 0] }, { 3: { class_type: 'LoadImage', inputs: { image: 'picture.png' } } });
    await front.page.evaluate(() => {
      window.app.graph.nodes.find((/** @type {any} */ of) => of.type === 'LoadImage').pos = [-600, 0];
    });
    await front.page.locator('.cvd-chips').first().hover();
    await front.page.waitForFunction(() => document.querySelector('.cvd-editor').editor.session.image !== null);
    await expectRunAsShown();
    expect(front.errors).toEqual([]);
  });

  test('a broken text is refused by the host where the editor refuses it', async () => {
    await front.build();
    const broken = '{"version": 2, "rig": {"name": "spiral"}}';
    await front.page.evaluate(([type, text]) => {
      window.app.graph.nodes
        .find((/** @type {any} */ of) => of.type === type)
        .widgets.find((/** @type {any} */ widget) => widget.name === 'trajectory').value = text;
    }, /** @type {const} */ ([BUILDER, broken]));
    await front.settled();
    const said = await front.page.locator('.cvd-message').innerText();
    const answer = await front.page.evaluate(async () => {
      const { output } = await window.app.graphToPrompt();
      const response = await window.app.api.fetchApi('/prompt', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ prompt: output }),
      });
      return response.json();
    });
    for (const words of [said, answer.node_errors['1'].errors[0].details]) {
      expect(words).toContain('rig.name');
      expect(words).toContain('spiral');
    }
    expect(await front.text()).toBe(broken);
  });
});
