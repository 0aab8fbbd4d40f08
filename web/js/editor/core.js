/**
 * What the editor knows: the text and the document in it, what that builds, what is selected, and the way back.
 */

import { check } from '../trajectory/checks.js';
import { parse, stringify } from '../trajectory/document.js';
import { History } from '../trajectory/history.js';
import { build } from '../trajectory/paths.js';

/**
 * @typedef {import('./painter.js').Point} Point
 * @typedef {{views: number, frames: number, width: number, height: number}} Settings  of the node
 * @typedef {{
 *   text: string, settings: Settings, changed: (text: string, views: number | null, done: boolean) => void,
 *   redraw: () => void, notify: (message: string) => void, hasFocus: () => boolean,
 * }} Host
 */

/** Milliseconds that checks may take while something is dragged. */
const SLOW_CHECK = 5;

/** @type {import('../trajectory/paths.js').Built} */
const NOTHING = { views: [], frames: 0, width: 0, height: 0 };

export class EditorCore {
  #dirty = true;
  /** Milliseconds that the last checks took. */
  #checkTime = 0;
  /** Document before the gesture that is going on. @type {any} */
  #before = null;
  /** What the field that is being dragged is called. @type {string | null} */
  #dragging = null;
  /** @type {any} the last document that could be read */
  document = null;
  /** @type {import('../trajectory/paths.js').Built} what `build` made last; there is one as soon as a text was read */
  built = NOTHING;
  /** @type {any[]} */
  checks = [];
  /** Why the text cannot be read or built; empty if it can. */
  error = '';
  frame = 0;
  /** @type {'select' | 'draw'} */
  tool = 'select';
  locked = false;
  selection = { view: 0, key: 0 };
  /** @type {any} seen through the lens */
  image = null;

  /** @param {Host} host */
  constructor({ text, settings, changed, redraw, notify, hasFocus }) {
    this.settings = settings;
    this.redraw = redraw;
    this.notify = notify;
    this.hasFocus = hasFocus;
    this.changed = changed;
    this.text = text;
    this.history = new History(text);
    this.#read();
    this.locked = !this.firstPosesDiffer;
  }

  get frames() {
    return Math.max(this.built.frames || this.settings.frames, 1);
  }

  /** Whether the document may be edited: not while the text is broken, which an edit would overwrite. */
  get editable() {
    return this.document !== null && !this.error;
  }

  /** The text has been changed by someone else: another document, with a history of its own. @param {string} text */
  setText(text) {
    if (text === this.text) return;
    this.#leaveGesture();
    this.text = text;
    this.history = new History(text);
    this.#read();
    this.locked = !this.firstPosesDiffer;
  }

  /** @param {Settings} settings */
  setSettings(settings) {
    const same = JSON.stringify(settings) === JSON.stringify(this.settings);
    if (same) return;
    this.settings = settings;
    this.#invalidate();
  }

  /** Paths and checks of the document as it is now; does nothing if they already are. */
  build() {
    if (!this.#dirty) return;
    this.#dirty = false;
    if (!this.document) return;
    const { settings } = this;
    try {
      const views = this.document.rig ? settings.views : 0;
      this.built = build(this.document, { ...settings, views });
      if (!this.#textBroken) this.error = '';
    } catch (error) {
      this.error = messageOf(error);
      return;
    }
    this.frame = Math.min(this.frame, this.frames - 1);
    this.#keepSelection();
    if (this.#before !== null && this.#checkTime > SLOW_CHECK) return; // they wait for the end of the drag
    const start = performance.now();
    this.checks = check(this.built);
    this.#checkTime = performance.now() - start;
    const listed = this.listedViews();
    if (listed !== null && settings.views !== 0 && settings.views !== listed) {
      this.checks = [{
        kind: 'count', severity: 'error', views: [], frames: [],
        message: `The node says ${settings.views} views, the trajectory lists ${listed}; it will not run so.`,
      }, ...this.checks];
    }
  }

  /** Number of views the document lists; null for a rig. @returns {number | null} */
  listedViews() {
    return this.document?.views?.length ?? null;
  }

  /** Whether the views' first poses are not one and the same. */
  get firstPosesDiffer() {
    this.build();
    return this.checks.some((/** @type {any} */ of) => of.kind === 'first-pose');
  }

  /** Edits from now on are one step of undo. */
  beginGesture() {
    this.#before ??= this.document;
  }

  /** @param {boolean} [lost]  take it back */
  endGesture(lost = false) {
    const before = this.#before;
    this.#before = null;
    if (before === null || before === this.document) return;
    if (lost) {
      this.document = before;
      this.#invalidate();
      return;
    }
    this.#commit();
  }

  /**
   * An edit by a field that can be dragged.
   *
   * @param {string} name  of the field
   * @param {boolean} final
   * @param {() => void} edit
   */
  during(name, final, edit) {
    if (this.#dragging !== name) {
      this.endGesture();
      this.#dragging = name;
      this.beginGesture();
    }
    edit();
    if (!final) return;
    this.#dragging = null;
    this.endGesture();
  }

  /** Put `document` in the place of the present one: one step of undo, or part of the gesture that is going on. */
  apply(/** @type {any} */ document) {
    if (!this.editable || document === this.document) return;
    const before = this.document;
    this.document = document;
    this.#invalidate();
    this.build();
    if (this.error) {
      this.notify(this.error);
      this.document = before;
      this.error = '';
      this.#invalidate();
    } else if (this.#before === null) {
      this.#commit();
    }
  }

  /** Try an edit; what it cannot do is told to the user. @param {() => any} edit  returns the new document */
  attempt(edit) {
    if (!this.editable) {
      this.notify('Repair the JSON first: an edit would overwrite it');
      return;
    }
    try {
      this.apply(edit());
    } catch (error) {
      this.notify(messageOf(error));
    }
  }

  undo() {
    this.endGesture();
    if (this.history.canUndo) this.#goTo(this.history.undo());
  }

  redo() {
    this.endGesture();
    if (this.history.canRedo) this.#goTo(this.history.redo());
  }

  /** The text as it is typed. @param {string} text */
  typeText(text) {
    this.text = text;
    this.#read();
    this.changed(text, this.error ? null : this.listedViews(), false);
  }

  /** Typing is done: one step of undo. */
  endTyping() {
    this.history.push(this.text);
    this.changed(this.text, this.error ? null : this.listedViews(), true);
    this.redraw();
  }

  /**
   * A whole text from elsewhere, if it can be read.
   *
   * @param {string} text
   * @param {string} from  what to call it
   */
  takeText(text, from) {
    try {
      this.#replace(parse(text));
    } catch (error) {
      this.notify(`${from}: ${messageOf(error)}`);
    }
  }

  /** @param {any} document  takes the place of whatever the text was, broken or not */
  #replace(document) {
    this.#leaveGesture();
    this.document = document;
    this.error = '';
    this.#textBroken = false;
    this.#commit();
    this.locked = !this.firstPosesDiffer;
  }

  replaceAll(/** @type {any} */ document) {
    this.#replace(document);
  }

  #goTo(/** @type {string} */ text) {
    this.text = text;
    this.#read();
    this.locked = !this.firstPosesDiffer;
    this.changed(text, this.error ? null : this.listedViews(), true);
  }

  #textBroken = false;

  #read() {
    try {
      this.document = parse(this.text);
      this.#textBroken = false;
      this.error = '';
    } catch (error) {
      this.#textBroken = true;
      this.error = messageOf(error);
    }
    this.#invalidate();
  }

  #commit() {
    this.text = stringify(this.document);
    this.history.push(this.text);
    this.#invalidate();
    this.changed(this.text, this.listedViews(), true);
  }

  #leaveGesture() {
    this.#before = this.#dragging = null;
  }

  #invalidate() {
    this.#dirty = true;
    this.redraw();
  }

  #keepSelection() {
    const { selection, built } = this;
    const view = Math.min(selection.view, built.views.length - 1);
    const keys = this.document.views?.[view]?.keyframes?.length ?? 1;
    this.selection = { view, key: Math.min(Math.max(selection.key, 0), keys - 1) };
  }
}

function messageOf(/** @type {unknown} */ error) {
  return error instanceof Error ? error.message : String(error);
}
