/** The editor in the real front end on the real host, in both renderers: what is drawn is what runs. */

import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { boxOf } from '../chromium.js';
import { BUILDER, posesOf } from './graph.js';
import { inBothRenderers } from './renderers.js';

const PICTURE = fileURLToPath(new URL('../../../docs/cameras.png', import.meta.url));

inBothRenderers((open) => {
  /** Executed poses equal those the editor shows. */
  async function expectRunAsShown() {
    const shown = await open.front.shows();
    const { file, error } = await open.front.run();
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
    await open.front.build();
    expect((await open.front.shows()).error).toBe('');
    await open.front.drag([-0.4, 0, 0], [-0.6, 0, 0.3]);
    await open.front.drag([0.4, 0, 0], [0.5, 0, -0.2]);
    const drawn = JSON.parse(await open.front.text());
    expect(drawn.views.map((/** @type {any} */ view) => view.keyframes.at(-1).position[2] > 0)).toEqual([true, false]);

    const track = await boxOf(open.front.page.locator('.cvd-track canvas'));
    await open.front.page.mouse.click(track.x + track.width / 2, track.y + 14);
    expect((await open.front.shows()).frame).toBeGreaterThan(5);

    const text = await open.front.text();
    await open.front.page.keyboard.press('Control+z');
    await open.front.settled();
    const undone = JSON.parse(await open.front.text());
    expect(undone.views[1].keyframes.at(-1).position[2]).toBeCloseTo(0, 6);
    await open.front.page.keyboard.press('Control+Shift+Z');
    await open.front.settled();
    expect(await open.front.text()).toBe(text);
    expect((await open.front.shows()).text).toBe(text);

    console.log(`executed and drawn poses differ by at most ${(await expectRunAsShown()).toExponential(1)}`);

    const shown = await open.front.shows();
    const saved = await open.front.page.evaluate(() => JSON.parse(JSON.stringify(window.app.graph.serialize())));
    expect(saved.nodes.find((/** @type {any} */ node) => node.type === BUILDER).widgets_values).toEqual([
      2,
      16,
      256,
      256,
      text,
    ]);
    await open.front.page.evaluate((graph) => window.app.loadGraphData(graph), saved);
    await open.front.shown();
    expect(await open.front.text()).toBe(text);
    expect((await open.front.shows()).views).toEqual(shown.views);
    expect(open.front.errors).toEqual([]);
  });

  test('the prompt holds the text and nothing of the editor', async () => {
    await open.front.build();
    const { output } = await open.front.page.evaluate(() => window.app.graphToPrompt());
    expect(Object.keys(output['1'].inputs).sort()).toEqual(['frames', 'height', 'trajectory', 'views', 'width']);
  });

  test('widgets of the node and the editor follow each other', async () => {
    await open.front.build();
    await open.front.page.evaluate((type) => {
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
    await open.front.settled();
    const { views } = await open.front.shows();
    expect(views).toHaveLength(3);
    expect(views[0].c2w).toHaveLength(16 * 24);
    const frames = open.front.page.locator('.cvd-editor [aria-label="Number of frames"]');
    await frames.fill('20');
    await frames.press('Enter');
    await open.front.settled();
    const of20 = await open.front.page.evaluate(
      (type) =>
        window.app.graph.nodes
          .find((/** @type {any} */ of) => of.type === type)
          .widgets.find((/** @type {any} */ widget) => widget.name === 'frames').value,
      BUILDER,
    );
    expect(of20).toBe(20);
    await open.front.page.locator('.cvd-editor [title="Add a view"]').click();
    await open.front.settled();
    const count = await open.front.page.evaluate(
      (type) => window.app.graph.nodes.find((/** @type {any} */ of) => of.type === type).widgets[0].value,
      BUILDER,
    );
    expect(count).toBe(4);
    await expectRunAsShown();
  });

  test('a copied node has an editor of its own', async () => {
    await open.front.build();
    await open.front.drag([-0.4, 0, 0], [-0.6, 0, 0.3]);
    const text = await open.front.text();
    const texts = () =>
      open.front.page.evaluate(
        (type) =>
          window.app.graph.nodes
            .filter((/** @type {any} */ of) => of.type === type)
            .map(
              (/** @type {any} */ node) =>
                node.widgets.find((/** @type {any} */ widget) => widget.name === 'trajectory').value,
            ),
        BUILDER,
      );
    await open.front.page.evaluate((type) => {
      const { app } = window;
      const node = app.graph.nodes.find((/** @type {any} */ of) => of.type === type);
      app.canvas.selectNode(node);
      app.canvas.copyToClipboard();
      app.canvas.graph_mouse = [20, 1100];
      app.canvas.pasteFromClipboard();
    }, BUILDER);
    expect(await texts()).toEqual([text, text]);
    await open.front.page.evaluate((type) => {
      const { app } = window;
      app.graph.remove(app.graph.nodes.filter((/** @type {any} */ of) => of.type === type)[1]);
    }, BUILDER);
    await open.front.settled();
    await open.front.drag([0.4, 0, 0], [0.6, 0, 0.2]);
    expect(await texts()).not.toEqual([text]);
    expect(open.front.errors).toEqual([]);
  });

  test('inside a subgraph the text is kept and runs', async () => {
    await open.front.build();
    await open.front.drag([-0.4, 0, 0], [-0.6, 0, 0.3]);
    const text = await open.front.text();
    const inner = await open.front.page.evaluate((type) => {
      const { app } = window;
      const node = app.graph.nodes.find((/** @type {any} */ of) => of.type === type);
      app.canvas.selectNode(node);
      const { subgraph } = app.graph.convertToSubgraph(new Set([node]));
      return subgraph.nodes
        .find((/** @type {any} */ of) => of.type === type)
        .widgets.find((/** @type {any} */ widget) => widget.name === 'trajectory').value;
    }, BUILDER);
    expect(inner).toBe(text);
    const { file, error } = await open.front.run();
    expect(error).toBe('');
    expect(posesOf(file).size).toBe(2);
    expect(open.front.errors).toEqual([]);
  });

  test('collapsed or removed, nothing of it goes on', async () => {
    await open.front.build();
    const left = () => open.front.page.evaluate(() => document.querySelectorAll('.cvd-editor').length);
    expect(await left()).toBe(1);
    await open.front.page.evaluate((type) => {
      window.kept = document.querySelector('.cvd-editor').editor;
      if (window.kept.fillsWindow) window.kept.toggleWindow();
      window.app.graph.nodes.find((/** @type {any} */ of) => of.type === type).collapse();
      window.app.canvas.setDirty(true, true);
    }, BUILDER);
    await open.front.page.waitForFunction(() => !window.kept.loop.visible);
    await open.front.page.evaluate(() => window.app.graph.clear());
    await open.front.page.waitForFunction(() => document.querySelectorAll('.cvd-editor').length === 0);
    expect(open.front.errors).toEqual([]);
  });

  test('a linked picture is seen through the lenses and changes no camera', async () => {
    mkdirSync(join(open.host.base, 'input'), { recursive: true });
    copyFileSync(PICTURE, join(open.host.base, 'input', 'picture.png'));
    await open.front.build({ image: ['3', 0] }, { 3: { class_type: 'LoadImage', inputs: { image: 'picture.png' } } });
    await open.front.page.locator('.cvd-chips').first().hover();
    await open.front.page.waitForFunction(() => document.querySelector('.cvd-editor').editor.session.image !== null);
    await expectRunAsShown();
    expect(open.front.errors).toEqual([]);
  });

  test('a broken text is refused by the host where the editor refuses it', async () => {
    await open.front.build();
    const broken = '{"version": 2, "rig": {"name": "spiral"}}';
    await open.front.page.evaluate(([type, text]) => {
      window.app.graph.nodes
        .find((/** @type {any} */ of) => of.type === type)
        .widgets.find((/** @type {any} */ widget) => widget.name === 'trajectory').value = text;
    }, /** @type {const} */ ([BUILDER, broken]));
    await open.front.settled();
    const said = await open.front.page.locator('.cvd-message').innerText();
    const answer = await open.front.page.evaluate(async () => {
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
    expect(await open.front.text()).toBe(broken);
  });
});
