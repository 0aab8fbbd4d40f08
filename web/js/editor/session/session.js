/**
 * What is being edited and how far it is: the text and its document, what that builds, what is wrong with it, and what
 * the user has selected. Everything that changes the document is a command (commands.js) given to `run`.
 *
 * @import {Command} from './commands.js'
 * @import {Place, Selection} from './selection.js'
 * @import {Document} from '../../trajectory/document.js'
 * @import {Settings} from '../../trajectory/paths.js'
 */

import { parse } from '../../trajectory/document.js';
import { messageOf } from '../../trajectory/messages.js';
import { alignStarts } from './commands.js';
import { BuiltPaths } from './built_paths.js';
import { EditedText } from './edited_text.js';
import { keptIn, toggled } from './selection.js';

/**
 * @typedef {{
 *   text: string, settings: Settings,
 *   changed: (text: string, views: number | null, done: boolean) => void,
 *   setSetting: (name: keyof Settings, value: number) => void,
 * }} Owner  of the text and the settings, which live elsewhere. `changed` gets the text, the number of views it lists
 *   (null for a rig or a broken text), and whether the change is done or still being typed
 * @typedef {Owner & {
 *   redraw: () => void, notify: (message: string) => void, hasFocus: () => boolean, replaced: () => void,
 * }} Host  `replaced`: there is another document, of another extent
 * @typedef {'select' | 'path' | 'draw'} Tool
 */

export class EditSession {
  #edited;
  #dirty = true;
  #made = new BuiltPaths();
  /** What the field that is being dragged is called. @type {string | null} */
  #dragging = null;
  frame = 0;
  /** @type {Tool} */
  tool = 'select';
  /** Whether all views start from one pose: moving one start moves all. */
  locked = false;
  /** @type {Selection} */
  selection = { view: 0, key: 0, others: [] };
  /** Seen through the lens. @type {HTMLCanvasElement | null} */
  image = null;

  /** @param {Host} host */
  constructor({ text, settings, changed, setSetting, redraw, notify, hasFocus, replaced }) {
    this.settings = settings;
    this.redraw = redraw;
    this.notify = notify;
    this.hasFocus = hasFocus;
    this.replaced = replaced;
    this.changed = changed;
    this.setSetting = setSetting;
    this.#edited = new EditedText(text, () => this.#invalidate());
    this.#lockAsFound();
  }

  get text() {
    return this.#edited.text;
  }

  get document() {
    return this.#edited.document;
  }

  /** What `build` made last; there is one as soon as a text was read. */
  get built() {
    return this.#made.paths;
  }

  get checks() {
    return this.#made.checks;
  }

  get history() {
    return this.#edited.history;
  }

  /** Why the text cannot be read or built; empty if it can. */
  get error() {
    return this.#edited.error || this.#made.error;
  }

  get frames() {
    return Math.max(this.built.frames || this.settings.frames, 1);
  }

  /** Whether the document may be edited: not while the text is broken, which an edit would overwrite. */
  get editable() {
    return this.document !== null && !this.error;
  }

  /** What the selected view is made of. @returns {'rig' | 'moves' | 'keyframes'} */
  get form() {
    if (!this.document?.views) return 'rig';
    return this.document.views[this.selection.view]?.moves ? 'moves' : 'keyframes';
  }

  /** Number of views the document lists; null for a rig, and for a text that cannot be read or built. */
  get listedViews() {
    return this.error ? null : (this.document?.views?.length ?? null);
  }

  /** Whether the views' first poses are not one and the same. */
  get firstPosesDiffer() {
    this.build();
    return this.checks.some(({ kind }) => kind === 'first-pose');
  }

  /** The text has been changed by someone else. @param {string} text */
  setText(text) {
    if (text === this.text) return;
    this.#dragging = null;
    this.#edited.open(text);
    this.#lockAsFound();
  }

  /** @param {Settings} settings */
  setSettings(settings) {
    if (JSON.stringify(settings) === JSON.stringify(this.settings)) return;
    this.settings = settings;
    this.#invalidate();
  }

  /** Paths and checks of the document as it is now; does nothing if they already are. */
  build() {
    if (!this.#dirty) return;
    this.#dirty = false;
    const { document, settings } = this;
    if (!document || !this.#made.update(document, settings, this.#edited.inGesture)) return;
    this.frame = Math.min(this.frame, this.frames - 1);
    this.#keepSelection();
  }

  /**
   * Carry out a command: one step of undo, or part of the gesture that is going on. What it cannot do is told to the
   * user.
   *
   * @template {unknown[]} A
   * @param {Command<A>} command
   * @param {A} given
   */
  run(command, ...given) {
    this.build();
    const before = this.document;
    if (!before || !this.editable) {
      this.notify('Repair the JSON first: an edit would overwrite it');
      return;
    }
    try {
      const outcome = command({ ...this.#context(), document: before }, ...given);
      const { document, select, notice } = 'document' in outcome ? outcome : { document: outcome };
      if (notice) this.notify(notice);
      if (document !== before) this.#put(document, before);
      if (select && !this.error) this.select(select.view, select.key);
    } catch (error) {
      this.notify(messageOf(error));
    }
  }

  #context() {
    const { settings, selection, built, locked, frame } = this;
    return { settings, selection, built, locked, frame };
  }

  /** @param {Document} document @param {Document} before  comes back if the new one cannot be built */
  #put(document, before) {
    this.#edited.put(document);
    this.build();
    if (this.#made.error) {
      this.notify(this.#made.error);
      this.#edited.put(before);
    } else if (!this.#edited.inGesture) {
      this.#commit();
    }
  }

  /** A document in the place of whatever the text was, broken or not. @param {Document} document */
  replace(document) {
    this.#dragging = null;
    this.#edited.leaveGesture();
    this.#edited.put(document);
    this.#commit();
    this.#lockAsFound();
    this.replaced();
  }

  /** A whole text from elsewhere, if it can be read. @param {string} text @param {string} from  what to call it */
  replaceText(text, from) {
    try {
      this.replace(parse(text));
    } catch (error) {
      this.notify(`${from}: ${messageOf(error)}`);
    }
  }

  /** Whether something is being dragged. */
  get inGesture() {
    return this.#edited.inGesture;
  }

  /** Edits from now on are one step of undo. */
  beginGesture() {
    this.#edited.beginGesture();
  }

  /** @param {boolean} [lost]  take it back */
  endGesture(lost = false) {
    if (this.#edited.endGesture(lost)) this.#commit();
  }

  /**
   * An edit by a field that can be dragged.
   *
   * @param {string} name  of the field
   * @param {boolean} final  whether the drag is over
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
    this.#edited.type(text);
    this.#tell(false);
  }

  /** Typing is done: one step of undo. */
  endTyping() {
    this.#edited.endTyping();
    this.#tell(true);
    this.redraw();
  }

  /** Tell the node the text, and how many views it lists. */
  #tell(done = true) {
    this.changed(this.text, this.listedViews, done);
  }

  /** Let the node have as many views as the text lists. */
  useListedViews() {
    this.#tell();
  }

  /** @param {Tool} tool */
  setTool(tool) {
    this.tool = tool;
    this.redraw();
  }

  /** @param {number} frame */
  setFrame(frame) {
    const within = Math.min(Math.max(frame, 0), this.frames - 1);
    if (within === this.frame) return;
    this.frame = within;
    this.redraw();
  }

  /** @param {number} view @param {number} key @param {Place[]} [others]  selected with it */
  select(view, key, others = []) {
    this.selection = { view, key, others };
    this.#keepSelection();
    this.redraw();
  }

  /** Take a keyframe into the selection, or out of it. @param {Place} place */
  toggleSelected(place) {
    const [first, ...others] = toggled(this.selection, place);
    if (first) this.select(first.view, first.key, others);
  }

  /** @param {number} by  keyframes further, or back */
  selectNextKey(by) {
    const { view, key } = this.selection;
    this.select(view, key + by);
    const chosen = this.built.views[view]?.keyframes?.[this.selection.key];
    if (chosen) this.setFrame(Math.round(chosen.frame));
  }

  /** Keep all starts together, or free them; where they differ, they are brought together first. */
  toggleLock() {
    if (this.locked || !this.firstPosesDiffer) this.locked = !this.locked;
    else {
      this.run(alignStarts, 0);
      this.#lockAsFound();
    }
    this.redraw();
  }

  #lockAsFound() {
    this.locked = !this.firstPosesDiffer;
  }

  /** @param {string} text  of a step of the history */
  #goTo(text) {
    this.#edited.type(text);
    this.#lockAsFound();
    this.#tell();
  }

  #commit() {
    this.#edited.commit();
    this.#invalidate();
    if (this.locked) this.#lockAsFound(); // a path that was moved alone starts elsewhere now
    this.#tell();
  }

  #invalidate() {
    this.#dirty = true;
    this.#made.error = '';
    this.redraw();
  }

  #keepSelection() {
    this.selection = keptIn(this.selection, this.document, this.built.views.length);
  }
}
