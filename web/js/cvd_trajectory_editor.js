/**
 * Puts the trajectory editor into the Camera Trajectory Builder. The node's text widget is the single truth: it is
 * saved, sent and linked; the editor only shows and rewrites it.
 */

import { app } from '../../../scripts/app.js';
import { TrajectoryEditor } from './editor/editor.js';
import { h } from './editor/dom.js';
import { findPicture } from './editor/linked_picture.js';

const NODE = 'CVD_CameraTrajectoryBuilder';
const SIZE = [500, 900];
const LEAST_HEIGHT = 600;
const SETTINGS = ['views', 'frames', 'width', 'height'];

/** Call `after` whenever the method that `owner` has under `name` was called. */
function chain(owner, name, after) {
  const before = owner[name];
  owner[name] = function (...given) {
    const result = before?.apply(this, given);
    after.apply(this, given);
    return result;
  };
}

function attach(node) {
  const widgetOf = (name) => node.widgets?.find((widget) => widget.name === name);
  const text = widgetOf('trajectory');
  if (!text) return;
  const place = h('div', { class: 'cvd-mount' });
  let editor = null;

  const settings = () => Object.fromEntries(SETTINGS.map((name) => [name, Number(widgetOf(name)?.value)]));
  const changed = (value, views, done) => {
    if (text.value !== value) text.value = value;
    const count = widgetOf('views');
    if (views !== null && count && count.value !== 0 && count.value !== views) {
      count.value = views;
      count.callback?.(views);
    }
    node.graph?.setDirtyCanvas?.(true, true);
    if (!done) return;
    const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
    (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker);
  };
  const sync = () => {
    editor?.setSettings(settings());
    editor?.setText(String(text.value ?? ''));
    linked();
  };
  const linked = () => {
    const input = node.inputs?.find((of) => of.name === 'trajectory');
    const why = 'The trajectory comes from a link; what is drawn here is not used as long as it is linked.';
    editor?.setNotice(input?.link == null ? '' : why);
  };
  const look = async () => {
    const picture = await findPicture(app, node);
    if (picture !== undefined) editor?.setImage(picture);
  };
  const start = () => {
    if (editor) return;
    editor = new TrajectoryEditor(place, { text: String(text.value ?? ''), settings: settings(), changed });
    // Some ways to set a widget tell nobody; whoever comes to edit sees what is true.
    editor.root.addEventListener('pointerenter', () => {
      sync();
      look();
    });
    editor.root.addEventListener('wheel', (event) => {
      if (!event.defaultPrevented && !globalThis.LiteGraph?.vueNodesMode && !editor.fillsWindow) {
        app.canvas.processMouseWheel(event);
      }
    });
    editor.root.addEventListener('pointerdown', (event) => {
      if (event.button === 1 && !globalThis.LiteGraph?.vueNodesMode) app.canvas.processMouseDown(event);
    });
    look();
  };
  const stop = () => {
    editor?.destroy();
    editor = null;
  };

  // Early front ends with Nodes 2.0 (1.27) show no element of ours in a node, but do show what is `hidden`: there the
  // text stays in sight and this button opens the editor.
  const opener = node.addWidget('button', 'edit camera paths', null, () => editor?.toggleWindow(), { serialize: false });
  opener.serialize = false;
  for (const widget of [text, opener]) {
    widget.hidden = true;
    widget.computeSize = () => [0, -4]; // the layout of those front ends gives hidden widgets room, and a gap of four
  }
  const widget = node.addDOMWidget('editor', 'cvd_trajectory_editor', place, {
    serialize: false, hideOnZoom: false, getMinHeight: () => LEAST_HEIGHT, getValue: () => '', setValue: () => {},
  });
  widget.serialize = false;
  for (const name of ['trajectory', ...SETTINGS]) {
    const of = widgetOf(name);
    if (of) chain(of, 'callback', sync);
  }
  chain(node, 'onConfigure', () => {
    sync();
    const least = node.computeSize(); // a graph saved before there was an editor has a smaller node
    node.setSize([Math.max(node.size[0], least[0]), Math.max(node.size[1], least[1])]);
  });
  chain(node, 'onConnectionsChange', () => {
    linked();
    look();
  });
  chain(node, 'onAdded', start);
  chain(node, 'onRemoved', stop);
  node.setSize([Math.max(node.size[0], SIZE[0]), Math.max(node.size[1], SIZE[1])]);
  start();
}

app.registerExtension({
  name: 'cvd.TrajectoryEditor',
  nodeCreated(node) {
    if (node.comfyClass === NODE) attach(node);
  },
});
