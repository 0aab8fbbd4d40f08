/**
 * The commands of the editor: what its buttons, keys and drags do to the document.
 */

import { DEFAULT_TEXT, parse, stringify } from '../trajectory/document.js';
import * as edit from '../trajectory/edit.js';
import { exportCameras, importFiles } from '../trajectory/importers.js';
import { DEFAULT_FOCAL } from '../trajectory/presets.js';
import { EditorCore } from './core.js';
import { centerOf } from './scene_drawing.js';

/**
 * @typedef {import('./painter.js').Point} Point
 * @typedef {import('./handles.js').Handle} Handle
 * @typedef {import('./core.js').Settings} Settings
 */

const HANDLE_TEXTS = {
  key: 'Keyframe: drag to move (Shift: one axis, Ctrl: snap)',
  end: 'End of the path: drag to turn the path into keyframes',
  target: 'Target: drag to aim (Alt: this keyframe only)',
  aim: 'Where the camera looks: drag to turn it',
  roll: 'Up of the picture: drag to roll the camera',
};

export class EditorState extends EditorCore {
  defaultFocal = DEFAULT_FOCAL;

  /** What the selected view is made of: a rig, moves or keyframes. */
  viewForm() {
    if (!this.document || this.document.rig) return 'rig';
    return this.document.views[this.selection.view]?.moves ? 'moves' : 'keyframes';
  }

  /** @param {Handle} handle */
  describe(handle) {
    return `${this.built.views[handle.view].name}: ${HANDLE_TEXTS[handle.kind]}`;
  }

  /** @param {'select' | 'draw'} tool */
  setTool(tool) {
    this.tool = tool;
    if (tool === 'draw') this.notify('Drag in a pane to draw the path of the selected view');
    this.redraw();
  }

  /** @param {number} frame */
  setFrame(frame) {
    if (frame === this.frame) return;
    this.frame = frame;
    this.redraw();
  }

  /**
   * @param {number} view
   * @param {number} key
   */
  select(view, key) {
    const keys = this.document?.views?.[view]?.keyframes?.length ?? 1;
    this.selection = { view, key: Math.min(Math.max(key, 0), keys - 1) };
    this.redraw();
  }

  /** @param {number} by */
  selectNextKey(by) {
    const keys = this.built.views[this.selection.view]?.keyframes;
    if (!keys) return;
    const key = Math.min(Math.max(this.selection.key + by, 0), keys.length - 1);
    this.select(this.selection.view, key);
    this.setFrame(Math.round(keys[key].frame));
  }

  escape() {
    this.setTool('select');
  }

  get canBake() {
    return this.editable && (this.document.rig || this.document.views.some((/** @type {any} */ view) => view.moves));
  }

  /** Turn a view, or everything, into keyframes. @param {number} [view] */
  bake(view) {
    this.attempt(() => edit.bake(this.document, this.settings, view));
  }

  /**
   * Take hold of a handle; a path that has no keyframes gets them.
   *
   * @param {Handle} handle
   * @returns {Handle}
   */
  takeHold(handle) {
    if (handle.kind !== 'end') return handle;
    const rig = Boolean(this.document?.rig);
    this.bake(rig ? undefined : handle.view);
    const keys = this.document.views?.[handle.view]?.keyframes?.length ?? 1;
    const key = handle.key < 0 ? keys - 1 : handle.key;
    this.select(handle.view, key);
    this.notify(rig ? 'The rig is now paths with keyframes' : 'The moves are now keyframes');
    return { ...handle, kind: 'key', key };
  }

  /**
   * @param {Handle} handle
   * @param {Point} point
   * @param {boolean} alone  only what was taken, not what goes with it
   */
  dragTo(handle, point, alone) {
    const { view, key } = handle;
    if (handle.kind === 'key') this.moveKeyframe(view, key, point);
    else if (handle.kind === 'target') this.moveTarget(view, key, point, !alone);
    else if (handle.kind === 'aim') this.#pose(view, key, () => edit.aimKeyframe(this.document, view, key, point));
    else if (handle.kind === 'roll') this.#pose(view, key, () => edit.rollKeyframe(this.document, view, key, point));
  }

  /** @param {number} view @param {number} key @param {number[]} position */
  moveKeyframe(view, key, position) {
    this.#pose(view, key, () => edit.setKeyframe(this.document, view, key, { position }));
  }

  /** @param {number} view @param {number} key @param {number[]} point @param {boolean} together  all that share it */
  moveTarget(view, key, point, together) {
    this.#pose(view, key, () => edit.moveTarget(this.document, view, key, point, together));
  }

  /** @param {number} view @param {number} key @param {any} fields */
  setKeyframe(view, key, fields) {
    this.#pose(view, key, () => edit.setKeyframe(this.document, view, key, fields));
  }

  /** @param {number} view @param {number} key @param {number[]} turns  pan, tilt, roll in degrees */
  turnKeyframe(view, key, turns) {
    this.#pose(view, key, () => edit.turnKeyframe(this.document, view, key, turns));
  }

  /** Pan, tilt and roll of a keyframe in degrees. @param {number} view @param {number} key */
  turnsOf(view, key) {
    return edit.turnsOf(this.document.views[view].keyframes[key]);
  }

  /** @param {number} view @param {number} key @param {boolean} looks  at a target, or is turned freely */
  setAim(view, key, looks) {
    this.#pose(view, key, () => edit.setAim(this.document, view, key, looks));
  }

  /** An edit of a keyframe's pose; where the first poses are locked, those of the other views follow. */
  #pose(/** @type {number} */ view, /** @type {number} */ key, /** @type {() => any} */ run) {
    this.attempt(() => {
      const document = run();
      return this.locked && key === 0 ? edit.lockFirstPose(document, view) : document;
    });
  }

  toggleLock() {
    if (this.locked || !this.firstPosesDiffer) {
      this.locked = !this.locked;
      this.redraw();
      return;
    }
    this.attempt(() => edit.alignStarts(this.baked(), 0));
    this.locked = !this.firstPosesDiffer;
  }

  /** The document with every view as keyframes. */
  baked() {
    return this.canBake ? edit.bake(this.document, this.settings) : this.document;
  }

  /** @param {number} view @param {number} frame */
  addKeyframe(view, frame) {
    if (!this.editable) return;
    this.attempt(() => {
      const document = this.viewForm() === 'keyframes' ? this.document : edit.bake(this.document, this.settings, this.document.rig ? undefined : view);
      const added = edit.addKeyframe(document, view, frame, this.settings);
      this.selection = { view, key: added.key };
      return added.document;
    });
  }

  deleteKeyframe() {
    const { view, key } = this.selection;
    if (this.viewForm() !== 'keyframes') return;
    this.attempt(() => edit.deleteKeyframe(this.document, view, key));
  }

  duplicateKeyframe() {
    const { view, key } = this.selection;
    if (this.viewForm() !== 'keyframes') return;
    this.attempt(() => edit.duplicateKeyframe(this.document, view, key));
    this.select(view, key + 1);
  }

  /** @param {number} key @param {number} frame */
  retime(key, frame) {
    this.attempt(() => edit.retimeKeyframe(this.document, this.selection.view, key, frame, this.settings));
  }

  /** @param {number} view @param {number} key @param {number | null} time */
  setTime(view, key, time) {
    this.attempt(() => edit.setTime(this.document, view, key, time, this.settings));
  }

  /** @param {number} view */
  evenSpeed(view) {
    this.attempt(() => edit.evenSpeed(this.document, view));
  }

  /** Where the selected keyframe is. @returns {Point | null} */
  selectedPoint() {
    const { view, key } = this.selection;
    return this.document?.views?.[view]?.keyframes?.[key]?.position ?? null;
  }

  /** @param {Point} point */
  moveSelected(point) {
    this.moveKeyframe(this.selection.view, this.selection.key, point);
  }

  /** A point of the plane that a path is drawn in. @returns {Point} */
  strokePlane() {
    return centerOf(this.built.views[this.selection.view].c2w, 0);
  }

  /** @param {Point[]} stroke */
  drawFreehand(stroke) {
    const { view } = this.selection;
    this.attempt(() => edit.drawFreehand(this.baked(), view, stroke, { keepStart: this.locked }));
    this.setTool('select');
  }

  /** @param {number} [like]  a view to repeat */
  addView(like) {
    this.attempt(() => edit.addView(this.baked(), like));
    this.build();
    this.select((this.listedViews() ?? 1) - 1, 0);
  }

  /** @param {number} view */
  deleteView(view) {
    this.attempt(() => edit.deleteView(this.baked(), view));
  }

  /** @param {number} view @param {any} fields  name, color, easing, focal */
  setView(view, fields) {
    this.attempt(() => edit.setView(this.baked(), view, fields));
  }

  /** @param {number} view @param {number} axis */
  mirror(view, axis) {
    this.attempt(() => edit.mirrorView(this.baked(), view, axis));
  }

  /** @param {number} view @param {number[]} by */
  offset(view, by) {
    this.attempt(() => edit.offsetView(this.baked(), view, by));
    if (this.locked) this.locked = !this.firstPosesDiffer;
  }

  /** @param {number} from @param {number} to */
  copyPath(from, to) {
    this.attempt(() => edit.copyPath(this.baked(), from, to));
  }

  /** @param {string} name */
  applyRig(name) {
    this.replaceAll(edit.applyRig(this.document, name));
  }

  /** @param {any} fields */
  setRig(fields) {
    this.attempt(() => edit.setRig(this.document, fields));
  }

  /** The easing of the whole path, or of the way to the next keyframe. @param {boolean} segment */
  easingOf(segment) {
    const { view, key } = this.selection;
    const described = this.document.rig ?? this.document.views[view];
    return (segment ? described.keyframes[key] : described).easing ?? 'linear';
  }

  /** @param {boolean} segment @param {any} easing  a name, or points of a curve */
  setEasing(segment, easing) {
    const { view, key } = this.selection;
    if (this.document.rig) this.setRig({ easing });
    else if (segment) this.setKeyframe(view, key, { easing });
    else this.setView(view, { easing });
  }

  /** @param {string} name */
  applyMove(name) {
    const { view } = this.selection;
    this.attempt(() => edit.applyMove(this.document.rig ? this.baked() : this.document, view, name));
  }

  /** @param {number} view @param {number} move @param {any} fields */
  setMove(view, move, fields) {
    this.attempt(() => edit.setMove(this.document, view, move, fields));
  }

  /** @param {number} view @param {number} move */
  deleteMove(view, move) {
    this.attempt(() => edit.deleteMove(this.document, view, move));
  }

  /** Tell the node how many views the trajectory lists. */
  useListedViews() {
    this.changed(this.text, this.listedViews(), true);
  }

  tidy() {
    if (this.document && !this.error) this.replaceAll(parse(stringify(this.document)));
  }

  reset() {
    this.replaceAll(parse(DEFAULT_TEXT));
  }

  /** @param {{name: string, text: string}[]} files */
  importTexts(files) {
    try {
      const { document, notes } = importFiles(files, this.settings);
      this.replaceAll(document);
      if (notes.length) this.notify(notes.join('; '));
    } catch (error) {
      this.notify(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {'json' | 'nerfstudio' | 'realestate10k'} format @returns {{name: string, text: string}[]} */
  exportTexts(format) {
    if (format === 'json') return [{ name: 'trajectory.json', text: this.text }];
    return exportCameras(this.built, this.settings, format);
  }
}
