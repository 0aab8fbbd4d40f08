/**
 * Puts the trajectory editor into the Camera Trajectory Builder. The node's text widget is the single truth: it is
 * saved, sent and linked; the editor only shows and rewrites it.
 *
 * @import {Settings} from './trajectory/paths.js'
 */

import { app } from '../../../scripts/app.js';
import { chain } from './chain.js';
import { h } from './editor/dom.js';
import { TrajectoryEditor } from './editor/editor.js';
import { useLanguage } from './editor/language.js';
import { findPicture } from './editor/linked_picture.js';

/**
 * What is used of the host's nodes and widgets, whose types are not published.
 *
 * @typedef {{
 *   name: string, value: any, callback?: (value: any) => void, hidden?: boolean, serialize?: boolean,
 *   options?: Record<string, any>, computeSize?: () => [number, number],
 * }} Widget
 */

const NODE = 'CVD_CameraTrajectoryBuilder';
const SIZE = [500, 900];
const LEAST_WIDTH = 400;
const LEAST_HEIGHT = 640;
/** @type {(keyof Settings)[]} */
const SETTINGS = ['views', 'frames', 'width', 'height'];

/** Whether Nodes 2.0 shows elements of extensions: up to 1.28 it does not (1.30 does). */
function showsElements() {
  const [major, minor] = String(window.__COMFYUI_FRONTEND_VERSION__ ?? '')
    .split('.')
    .map(Number);
  return !(major === 1 && minor < 30);
}

/**
 * Out of sight where the editor is in sight: some front ends read the widget's own field, Nodes 2.0 of others its options.
 */
function hide(/** @type {Widget} */ widget) {
  widget.hidden = true;
  if (showsElements()) (widget.options ??= {}).hidden = true;
  widget.computeSize = () => [0, -4]; // early layouts give hidden widgets room, and a gap of four
}

/** The host takes the graph as it is now as a step of its own undo. */
function capture() {
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker;
  (tracker?.captureCanvasState ?? tracker?.checkState)?.call(tracker);
}

/** The editor in one node. */
class EditorInNode {
  #place = h('div', { class: 'cvd-mount' });
  /** @type {TrajectoryEditor | null} */
  #editor = null;

  /** @param {any} node @param {Widget} text */
  constructor(node, text) {
    this.node = node;
    this.text = text;
    this.#addWidgets();
    for (const name of ['trajectory', ...SETTINGS]) {
      const widget = this.#widget(name);
      if (widget) chain(widget, 'callback', () => this.#sync());
    }
    chain(node, 'onConfigure', () => this.#configured());
    chain(node, 'onConnectionsChange', () => {
      this.#sayWhereFrom();
      this.#findPicture();
    });
    chain(node, 'onAdded', () => this.#start());
    chain(node, 'onRemoved', () => this.#stop());
    node.setSize([Math.max(node.size[0], SIZE[0]), Math.max(node.size[1], SIZE[1])]);
    this.#start();
  }

  /** @param {string} name @returns {Widget | undefined} */
  #widget(name) {
    return this.node.widgets?.find((/** @type {Widget} */ widget) => widget.name === name);
  }

  #addWidgets() {
    const { node } = this;
    hide(this.text);
    // Where Nodes 2.0 shows no element of ours, the text stays in sight and this button opens the editor.
    const open = () => this.#editor?.toggleWindow();
    const opener = node.addWidget('button', 'edit camera paths', null, open, { serialize: false });
    opener.serialize = false;
    hide(opener);
    const widget = node.addDOMWidget('editor', 'cvd_trajectory_editor', this.#place, {
      serialize: false,
      hideOnZoom: false,
      hideInPanel: true, // the properties panel would take the element out of the node
      getMinHeight: () => LEAST_HEIGHT,
      getValue: () => '',
      setValue: () => {},
    });
    widget.serialize = false;
  }

  #start() {
    if (this.#editor) return;
    const editor = new TrajectoryEditor(this.#place, {
      text: String(this.text.value ?? ''),
      settings: this.#settings(),
      changed: (text, views, done) => this.#changed(text, views, done),
      setSetting: (name, value) => this.#set(name, value),
    });
    this.#editor = editor;
    // Some ways to set a widget tell nobody; whoever comes to edit sees what is true.
    editor.root.addEventListener('pointerenter', () => {
      this.#sync();
      this.#findPicture();
    });
    const classic = () => !window.LiteGraph?.vueNodesMode;
    editor.root.addEventListener('wheel', (/** @type {WheelEvent} */ event) => {
      if (!event.defaultPrevented && classic() && !editor.fillsWindow) app.canvas.processMouseWheel(event);
    });
    editor.root.addEventListener('pointerdown', (/** @type {PointerEvent} */ event) => {
      if (event.button === 1 && classic()) app.canvas.processMouseDown(event);
    });
    this.#findPicture();
  }

  #stop() {
    this.#editor?.destroy();
    this.#editor = null;
  }

  /** @returns {Settings} */
  #settings() {
    const [views, frames, width, height] = SETTINGS.map((name) => Number(this.#widget(name)?.value));
    return { views, frames, width, height };
  }

  /** @param {keyof Settings} name @param {number} value */
  #set(name, value) {
    const widget = this.#widget(name);
    if (!widget || widget.value === value) return;
    widget.value = value;
    widget.callback?.(value);
    capture();
  }

  /** @param {string} text @param {number | null} views @param {boolean} done */
  #changed(text, views, done) {
    if (this.text.value !== text) this.text.value = text;
    const count = this.#widget('views');
    if (views !== null && count && count.value !== 0 && count.value !== views) {
      count.value = views;
      count.callback?.(views);
    }
    this.node.graph?.setDirtyCanvas?.(true, true);
    if (done) capture();
  }

  #sync() {
    this.#editor?.setSettings(this.#settings());
    this.#editor?.setText(String(this.text.value ?? ''));
    this.#sayWhereFrom();
  }

  /** A linked text wins over what is drawn. */
  #sayWhereFrom() {
    const input = this.node.inputs?.find((/** @type {{name: string}} */ { name }) => name === 'trajectory');
    const why = 'The trajectory comes from a link; what is drawn here is not used as long as it is linked.';
    this.#editor?.setNotice(input?.link == null ? '' : why);
  }

  async #findPicture() {
    const picture = await findPicture(app, this.node);
    if (picture !== undefined) this.#editor?.setImage(picture);
  }

  #configured() {
    this.#sync();
    const { node } = this;
    const least = node.computeSize(); // a graph saved before there was an editor has a smaller node
    node.setSize([Math.max(node.size[0], least[0], LEAST_WIDTH), Math.max(node.size[1], least[1])]);
  }
}

app.registerExtension({
  name: 'cvd.TrajectoryEditor',
  init() {
    return useLanguage(app.extensionManager?.setting?.get?.('Comfy.Locale'));
  },
  nodeCreated(/** @type {any} */ node) {
    if (node.comfyClass !== NODE) return;
    const text = node.widgets?.find((/** @type {Widget} */ widget) => widget.name === 'trajectory');
    if (text) new EditorInNode(node, text);
  },
});
