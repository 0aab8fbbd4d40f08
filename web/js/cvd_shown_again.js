/**
 * What this pack's nodes have shown is shown again after a reload of the page: the front end forgets it, though the files
 * are still there. Kept for the browser's tab and not in the workflow, which would carry names of files to other
 * machines.
 */

import { app } from '../../../scripts/app.js';

/** @typedef {{filename: string, subfolder?: string, type?: string}} File */

const OURS = 'CVD_';
const root = () => app.rootGraph ?? app.graph;
const placeOf = (/** @type {string} */ id) => `cvd.shown:${root().id}:${id}`;

/**
 * Ids of this pack's nodes as runs know them: those of the subgraphs around a node come first, as in "4:2".
 *
 * @param {any} graph
 * @param {string} [within]  the subgraph's own
 * @returns {Generator<string>}
 */
function* nodesOf(graph, within = '') {
  for (const node of graph.nodes) {
    if (node.comfyClass?.startsWith(OURS)) yield `${within}${node.id}`;
    if (node.subgraph) yield* nodesOf(node.subgraph, `${within}${node.id}:`);
  }
}

/** Which files an output names. @param {Record<string, any[]>} output @returns {File[]} */
const filesOf = (output) =>
  Object.values(output)
    .flat()
    .filter((shown) => shown?.filename);

/**
 * Changes with every file, or is empty where there is none: the host empties its temp folder when it starts, and new
 * files may get the old names.
 *
 * @param {File} file
 */
async function stampOf({ filename, subfolder = '', type = 'output' }) {
  const query = new URLSearchParams({ filename, subfolder, type });
  const { ok, headers } = await app.api.fetchApi(`/view?${query}`, { method: 'HEAD' });
  return ok ? (headers.get('etag') ?? headers.get('last-modified') ?? '') : '';
}

const stampsOf = (/** @type {Record<string, any[]>} */ output) => Promise.all(filesOf(output).map(stampOf));

/** Remember what the node with that id shows. @param {string} id @param {Record<string, any[]>} output */
async function keep(id, output) {
  const place = placeOf(id);
  const stamps = await stampsOf(output);
  sessionStorage.setItem(place, JSON.stringify({ output, stamps }));
}

/** What the node with that id showed last, as if the host told of it now. @param {string} id */
async function showAgain(id) {
  const place = placeOf(id);
  const kept = sessionStorage.getItem(place);
  if (!kept) return;
  const { output, stamps } = JSON.parse(kept);
  const now = await stampsOf(output);
  if (now.some((stamp, i) => !stamp || stamp !== stamps[i])) {
    sessionStorage.removeItem(place);
  } else if (place === placeOf(id)) {
    app.api.dispatchCustomEvent('executed', { node: id, display_node: id, output, prompt_id: '' });
    app.canvas.setDirty(true, true); // classic nodes load their pictures as they are drawn; a run draws all the time
  }
}

app.registerExtension({
  name: 'cvd.ShownAgain',
  setup() {
    app.api.addEventListener('executed', (/** @type {any} */ { detail }) => {
      const id = String(detail.display_node ?? detail.node);
      if (!detail.output || ![...nodesOf(root())].includes(id)) return;
      keep(id, detail.output).catch(() => {}); // storage is full or switched off: then nothing is shown again
    });
  },
  afterConfigureGraph() {
    for (const id of nodesOf(root())) showAgain(id).catch(() => {}); // the host may be away
  },
});
