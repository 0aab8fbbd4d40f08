/**
 * Has the real front end build, lay out and save the example workflows: `node save.mjs URL FOLDER`.
 *
 * For each one it writes FOLDER/Name.json (the workflow), FOLDER/Name.prompt.json (what the front end would queue) and
 * FOLDER/Name.png (a picture of the graph), and for the subgraph FOLDER/Name.blueprint. `python -m tests.nodes.save_examples` starts the server and checks them.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { BLUEPRINT, EXAMPLES } from './graphs.mjs';

const WINDOW = { width: 2400, height: 1350 };
/** Room between nodes, for Nodes 2.0 draws them taller than their saved size; size of the groups' titles. */
const LAYOUT = { below: 90, beside: 90, title: 44, margin: 20 };

/** Runs in the page: empties the graph and builds `example` in columns, one group each. */
function build(
  /** @type {[import('./graphs.mjs').Example, typeof LAYOUT]} */ [example, { below, beside, title, margin }],
) {
  const { app, LiteGraph } = window;
  const graph = app.graph;
  graph.clear();
  /** @type {Record<string, any>} */
  const nodes = {};
  let x = 0;
  for (const column of example.columns) {
    let y = 0;
    let width = 0;
    for (const [name, spec] of Object.entries(column.nodes)) {
      const node = LiteGraph.createNode(spec.type);
      if (!node) throw new Error(`the front end knows no node ${spec.type}`);
      nodes[name] = node;
      graph.add(node);
      if (spec.title) node.title = spec.title;
      if (spec.models?.length) node.properties.models = spec.models;
      for (const [key, value] of Object.entries(spec.widgets ?? {})) {
        const widget =
          node.widgets.find((/** @type {any} */ w) => w.name === key) ?? (key ? undefined : node.widgets[0]);
        if (!widget) throw new Error(`${spec.type} has no widget ${key}`);
        if (widget.options?.values?.includes && !widget.options.values.includes(value)) {
          throw new Error(`${spec.type}.${key} has no choice ${value}`);
        }
        widget.value = value;
        widget.callback?.(value);
      }
      const fixed = node.widgets?.find((/** @type {any} */ w) => w.name === 'control_after_generate');
      if (fixed) fixed.value = 'fixed';
      const least = node.computeSize();
      const [w, h] = spec.size ?? [Math.max(node.size[0], 300), node.size[1]];
      node.setSize([Math.max(w, least[0]), Math.max(h, least[1])]);
      node.pos = [x, y];
      y += node.size[1] + below;
      width = Math.max(width, node.size[0]);
    }
    for (const name of Object.keys(column.nodes)) nodes[name].setSize([width, nodes[name].size[1]]);
    const group = new LiteGraph.LGraphGroup(column.title);
    group.color = column.color;
    group.font_size = title;
    const top = LiteGraph.NODE_TITLE_HEIGHT + 1.8 * title;
    group.pos = [x - margin, -top];
    group.size = [width + 2 * margin, y - below + top + below / 2];
    graph.add(group);
    x += width + beside;
  }
  for (const column of example.columns) {
    for (const [name, spec] of Object.entries(column.nodes)) {
      for (const [input, [from, output]] of Object.entries(spec.inputs ?? {})) {
        const source = nodes[from];
        const slot = source.outputs.findIndex((/** @type {any} */ o) => o.name === output);
        const target = nodes[name].findInputSlot(input);
        if (slot < 0 || target < 0) throw new Error(`no link ${from}.${output} -> ${name}.${input}`);
        source.connect(slot, nodes[name], target);
      }
    }
  }
  const saved = graph.serialize();
  saved.id = example.id;
  return saved;
}

/** Runs in the page: shows the whole graph and returns where on the page. */
function showAll() {
  const { app } = window;
  const room = app.canvas.canvas.getBoundingClientRect();
  const boxes = app.graph._groups;
  const left = Math.min(...boxes.map((/** @type {any} */ b) => b.pos[0])) - 20;
  const top = Math.min(...boxes.map((/** @type {any} */ b) => b.pos[1])) - 20;
  const width = Math.max(...boxes.map((/** @type {any} */ b) => b.pos[0] + b.size[0])) + 20 - left;
  const height = Math.max(...boxes.map((/** @type {any} */ b) => b.pos[1] + b.size[1])) + 20 - top;
  const scale = Math.min(room.width / width, room.height / height);
  app.canvas.ds.scale = scale;
  app.canvas.ds.offset = [-left, -top];
  app.canvas.setDirty(true, true);
  return { x: room.left, y: room.top, width: Math.floor(width * scale), height: Math.floor(height * scale) };
}

/** @type {(example: import('./graphs.mjs').Example) => [import('./graphs.mjs').Example, typeof LAYOUT]} */
const parameters = (example) => [example, LAYOUT];

/**
 * Runs in the page, on the graph that `build` made: puts nodes into a subgraph and returns that alone, as ComfyUI reads
 * blueprints.
 */
function enclose(
  /** @type {[import('./graphs.mjs').Example, import('./graphs.mjs').Blueprint]} */ [example, { name, inside, shown }],
) {
  const { app } = window;
  const names = example.columns.flatMap((column) => Object.keys(column.nodes));
  /** @type {Record<string, any>} */
  const nodes = Object.fromEntries(names.map((of, i) => [of, app.graph.nodes[i]]));
  for (const group of [...app.graph.groups]) app.graph.remove(group);
  const { subgraph, node } = app.graph.convertToSubgraph(new Set(inside.map((of) => nodes[of])));
  subgraph.name = name;
  node.title = name;
  node.properties.proxyWidgets = shown.map(([of, widget]) => [String(nodes[of].id), widget]);
  const saved = app.graph.serialize();
  // newer front ends name nodes by strings, and save them as numbers
  saved.nodes = saved.nodes.filter((/** @type {any} */ of) => String(of.id) === String(node.id));
  saved.links = [];
  const [only] = saved.nodes;
  for (const input of only.inputs) input.link = null;
  for (const output of only.outputs) output.links = [];
  const plain = (/** @type {string} */ _, /** @type {any} */ value) =>
    ArrayBuffer.isView(value) ? [.../** @type {any} */ (value)] : value;
  return JSON.parse(JSON.stringify(saved, plain));
}

async function main(/** @type {any} */ url, /** @type {any} */ folder) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
  try {
    const page = await browser.newPage({ viewport: WINDOW });
    page.on('pageerror', (error) => console.error(`page: ${error.message}`));
    await page.goto(url);
    await page.waitForFunction(
      () => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100,
      null,
      { timeout: 120_000 },
    );
    for (const example of EXAMPLES) {
      const workflow = await page.evaluate(build, parameters(example));
      // What is saved is what a user gets who opens it: load it, and ask that graph.
      await page.evaluate((graph) => window.app.loadGraphData(graph), workflow);
      const prompt = await page.evaluate(async () => (await window.app.graphToPrompt()).output);
      writeFileSync(join(folder, `${example.name}.json`), `${JSON.stringify(workflow, null, 1)}\n`);
      writeFileSync(join(folder, `${example.name}.prompt.json`), JSON.stringify(prompt, null, 1));
      const clip = await page.evaluate(showAll);
      await page.waitForTimeout(500); // the canvas draws on its own frames
      await page.screenshot({ path: join(folder, `${example.name}.png`), clip });
    }
    const source = EXAMPLES.find((example) => example.name === BLUEPRINT.source);
    if (!source) throw new Error(`there is no example ${BLUEPRINT.source}`);
    await page.evaluate(build, parameters(source));
    /** @type {[import('./graphs.mjs').Example, import('./graphs.mjs').Blueprint]} */
    const enclosed = [source, BLUEPRINT];
    const blueprint = await page.evaluate(enclose, enclosed);
    writeFileSync(join(folder, `${BLUEPRINT.name}.blueprint`), `${JSON.stringify(blueprint, null, 1)}\n`);
  } finally {
    await browser.close();
  }
}

const [url, folder] = process.argv.slice(2);
await main(url, folder);
