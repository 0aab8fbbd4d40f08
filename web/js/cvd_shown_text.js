/**
 * Shows in the node what this pack's nodes have to say after a run: files written, warnings. The front end shows such
 * texts of a few of its own nodes only.
 */

import { app } from '../../../scripts/app.js';
import { chain } from './chain.js';

const OURS = 'CVD_';
const NAME = 'said';

/** @param {any} node @param {string} words  nothing takes the text away */
function say(node, words) {
  const shown = node.widgets?.find((/** @type {any} */ widget) => widget.name === NAME);
  if (shown && words) shown.value = words;
  else if (shown) node.removeWidget(shown);
  else if (words) {
    const { widget } = app.widgets.STRING(node, NAME, ['STRING', { multiline: true }], app);
    widget.value = words;
    widget.serialize = false; // not saved
    widget.options.serialize = false; // not sent
    widget.options.read_only = true;
    if (widget.element) widget.element.readOnly = true;
  }
}

app.registerExtension({
  name: 'cvd.ShownText',
  nodeCreated(/** @type {any} */ node) {
    if (!node.comfyClass?.startsWith(OURS)) return;
    chain(node, 'onExecuted', (/** @type {any} */ output) => {
      if (output?.text) say(node, output.text.join('\n'));
    });
  },
});
