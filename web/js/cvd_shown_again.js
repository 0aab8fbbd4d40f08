/**
 * What this pack's nodes have shown is shown again after a reload of the page: the front end forgets it, though the files
 * are still there. Kept for the tab, not in the workflow, which would carry names of files to other machines.
 */

import { app } from '../../../scripts/app.js';

const NODES = ['CVD_PluckerEmbed', 'CVD_EpipolarMask', 'CVD_MultiViewVideoCombine'];

/** @param {any} node */
const placeOf = (node) => `cvd.shown:${app.graph.id}:${node.id}`;

/** Whether the file is still there: the host empties its temp folder when it starts. @param {any} file */
async function exists({ filename, subfolder = '', type = 'output' }) {
  const answer = await app.api.fetchApi(`/view?${new URLSearchParams({ filename, subfolder, type })}`, {
    method: 'HEAD',
  });
  return answer.ok;
}

/** As if the host told of it now. @param {any} node */
async function show(node) {
  const kept = sessionStorage.getItem(placeOf(node));
  if (!kept) return;
  const output = JSON.parse(kept);
  const there = await Promise.all((output.images ?? []).map(exists)).catch(() => [false]);
  if (!there.every(Boolean) || node.graph !== app.graph) return;
  const detail = { node: String(node.id), display_node: String(node.id), output, prompt_id: '' };
  app.api.dispatchEvent(new CustomEvent('executed', { detail }));
}

app.registerExtension({
  name: 'cvd.ShownAgain',
  setup() {
    app.api.addEventListener('executed', (/** @type {any} */ { detail }) => {
      const node = app.graph.getNodeById?.(detail.display_node ?? detail.node);
      if (!NODES.includes(node?.comfyClass) || !detail.output?.images) return;
      try {
        sessionStorage.setItem(placeOf(node), JSON.stringify(detail.output));
      } catch {
        // storage is full or switched off: then nothing is shown again
      }
    });
  },
  afterConfigureGraph() {
    for (const node of app.graph.nodes) if (NODES.includes(node.comfyClass)) show(node);
  },
});
