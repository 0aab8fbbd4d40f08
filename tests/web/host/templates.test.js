/** The templates and the blueprint in the real front end, in both renderers: no node covers another. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { inBothRenderers } from './renderers.js';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const read = (/** @type {string} */ folder) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.json'))
    .map((name) => ({ name, graph: JSON.parse(readFileSync(join(ROOT, folder, name), 'utf8')) }));

inBothRenderers((open) => {
  /** Boxes of all nodes with their titles, in the graph's units. */
  const boxes = () =>
    open.front.page.evaluate((drawn) => {
      const { app, LiteGraph } = window;
      const title = LiteGraph.NODE_TITLE_HEIGHT;
      return app.graph.nodes.map((/** @type {any} */ node) => {
        const element = drawn && document.querySelector(`[data-node-id="${node.id}"]`);
        const height = element ? element.getBoundingClientRect().height / app.canvas.ds.scale : node.size[1] + title;
        return { type: node.type, x: node.pos[0], y: node.pos[1] - title, width: node.size[0], height };
      });
    }, open.front.vue);

  test.each(read('example_workflows'))('$name', async ({ graph }) => {
    await open.front.page.evaluate(async (saved) => {
      await window.app.loadGraphData(saved);
      const { ds } = window.app.canvas;
      ds.scale = 0.25; // everything in sight, so that Nodes 2.0 draws it
      ds.offset = [200, 600];
      window.app.canvas.setDirty(true, true);
    }, graph);
    await open.front.page.waitForTimeout(1500); // nodes grow to their contents in several steps
    const found = await boxes();
    expect(found.length).toBeGreaterThan(3);
    const covered = found.flatMap((/** @type {any} */ a, /** @type {number} */ i) =>
      found
        .slice(i + 1)
        .filter(
          (/** @type {any} */ b) =>
            a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height,
        )
        .map((/** @type {any} */ b) => `${a.type} and ${b.type}`),
    );
    expect(covered).toEqual([]);
  });

  test.each(read('subgraphs'))('$name is offered, and opens', async ({ name, graph }) => {
    const offered = await open.front.page.evaluate(() =>
      fetch('/global_subgraphs').then((answer) => (answer.ok ? answer.json() : null)),
    );
    if (offered) expect(Object.values(offered).map((of) => `${of.name}.json`)).toContain(name);
    const opened = await open.front.page.evaluate(async (saved) => {
      await window.app.loadGraphData(saved);
      const [node] = window.app.graph.nodes;
      return [node.isSubgraphNode?.(), node.subgraph?.nodes.length, node.widgets.length];
    }, graph);
    const settings = (await open.front.early()) ? [] : graph.nodes[0].properties.proxyWidgets;
    expect(opened).toEqual([true, graph.definitions.subgraphs[0].nodes.length, settings.length]);
  });
});
