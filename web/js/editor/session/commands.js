/**
 * What the buttons, keys and drags of the editor do to the document. A command gets the document with what surrounds it,
 * and returns the new document: `session.run(command, ...)`.
 *
 * @import {Document, Easing, Keyframe, Move, View} from '../../trajectory/document.js'
 * @import {Built, Settings} from '../../trajectory/paths.js'
 * @import {Place, Selection} from './selection.js'
 */

import * as edit from '../../trajectory/edit.js';
import { selected } from './selection.js';

/**
 * @typedef {{
 *   document: Document, settings: Settings, built: Built, selection: Selection, locked: boolean, frame: number,
 * }} Context
 * @typedef {Document | {document: Document, select?: Place, notice?: string}} Outcome
 */
/**
 * @template {unknown[]} A
 * @typedef {(context: Context, ...given: A) => Outcome} Command
 */

/** Whether anything is not keyframes yet. @param {Document | null} document */
export function canBake(document) {
  return Boolean(document && (document.rig || document.views?.some((view) => view.moves)));
}

/** The document with every view as keyframes. @param {Context} context */
function baked({ document, settings }) {
  return canBake(document) ? edit.bake(document, settings) : document;
}

/** Where the first poses are locked, those of the other views follow. @param {Document} document @param {Context} of */
function locking(document, { locked }, /** @type {number} */ view, /** @type {number} */ key) {
  return locked && key === 0 ? edit.lockFirstPose(document, view) : document;
}

/**
 * A command that changes the pose of a keyframe.
 *
 * @template {unknown[]} A
 * @param {(document: Document, view: number, key: number, ...given: A) => Document} change
 * @returns {(context: Context, view: number, key: number, ...given: A) => Document}
 */
function posing(change) {
  return (context, view, key, ...given) => locking(change(context.document, view, key, ...given), context, view, key);
}

/**
 * A command on whole paths, which become keyframes where they are not.
 *
 * @template {unknown[]} A
 * @param {(document: Document, ...given: A) => Document} change
 * @returns {(context: Context, ...given: A) => Document}
 */
function onKeyframes(change) {
  return (context, ...given) => change(baked(context), ...given);
}

/**
 * A command on the document as it is.
 *
 * @template {unknown[]} A
 * @param {(document: Document, ...given: A) => Document} change
 * @returns {(context: Context, ...given: A) => Document}
 */
function asIs(change) {
  return ({ document }, ...given) => change(document, ...given);
}

// Keyframes

export const setKeyframe = posing(edit.setKeyframe);
export const turnKeyframe = posing(edit.turnKeyframe);
export const aimKeyframe = posing(edit.aimKeyframe);
export const rollKeyframe = posing(edit.rollKeyframe);
export const setAim = posing(edit.setAim);
export const moveTarget = posing(edit.moveTarget);
export const moveKeyframe = posing((document, view, key, /** @type {number[]} */ position) =>
  edit.setKeyframe(document, view, key, { position }),
);

/** @param {Context} context @param {number} view @param {number} frame @returns {Outcome} */
export function addKeyframe({ document, settings }, view, frame) {
  const whole = document.views?.[view]?.keyframes
    ? document
    : edit.bake(document, settings, document.rig ? undefined : view);
  const added = edit.addKeyframe(whole, view, frame, settings);
  return { document: added.document, select: { view, key: added.key } };
}

/** Move all selected keyframes; where starts are locked, all starts go where one goes. */
export function moveSelected(/** @type {Context} */ context, /** @type {number[]} */ by) {
  const places = selected(context.selection).filter(({ view }) => context.document.views?.[view]?.keyframes);
  const starts = places.filter(({ key }) => key === 0);
  const moved = edit.moveKeyframes(context.document, places, by);
  return context.locked && starts.length ? edit.lockFirstPose(moved, starts[0].view) : moved;
}

/** @param {Context} context @returns {Outcome} */
export function deleteSelected(context) {
  const { document, selection } = context;
  if (!document.views?.[selection.view]?.keyframes) return document;
  const first = selected(context.selection).reduce(
    (low, at) => (at.view === selection.view && at.key < low ? at.key : low),
    selection.key,
  );
  return {
    document: edit.deleteKeyframes(document, selected(context.selection)),
    select: { view: selection.view, key: Math.max(selection.others.length ? first - 1 : selection.key, 0) },
  };
}

/** @param {Context} context @returns {Outcome} */
export function duplicateKeyframe({ document, selection: { view, key } }) {
  if (!document.views?.[view]?.keyframes) return document;
  return { document: edit.duplicateKeyframe(document, view, key), select: { view, key: key + 1 } };
}

/** @param {Context} context @param {number} key @param {number} frame */
export function retimeKeyframe({ document, settings, selection: { view } }, key, frame) {
  return edit.retimeKeyframe(document, view, key, frame, settings);
}

/** @param {Context} context @param {number} view @param {number} key @param {number | null} time */
export function setTime({ document, settings }, view, key, time) {
  return edit.setTime(document, view, key, time, settings);
}

export const evenSpeed = asIs(edit.evenSpeed);

// Paths

/**
 * Turn a view, or everything, into keyframes.
 *
 * @param {Context} context
 * @param {number} [view]
 * @returns {Outcome}
 */
export function bake({ document, settings }, view) {
  if (!canBake(document)) return document;
  const notice = document.rig ? 'The rig is now paths with keyframes' : 'The moves are now keyframes';
  return { document: edit.bake(document, settings, document.rig ? undefined : view), notice };
}

/** @param {Context} context @param {number[][]} stroke  drawn by hand */
export function drawFreehand(context, stroke) {
  return edit.drawFreehand(baked(context), context.selection.view, stroke, { keepStart: context.locked });
}

export const mirrorView = onKeyframes(edit.mirrorView);

/**
 * Move, turn or scale the whole path of a view. Where starts are locked, the start stays, and a shift takes all views
 * along.
 *
 * @param {Context} context
 * @param {number} view
 * @param {edit.Transform} transform
 */
export function transformPath(context, view, transform) {
  const document = baked(context);
  if (!context.locked) return edit.transformPath(document, view, transform);
  const { shift, ...about } = transform;
  const turned = edit.transformPath(document, view, about, { keepStart: true });
  const views = turned.views ?? [];
  return shift ? views.reduce((all, _, v) => edit.offsetView(all, v, shift), turned) : turned;
}

export const copyPath = onKeyframes(edit.copyPath);
export const alignStarts = onKeyframes(edit.alignStarts);

// Views

/** @param {Context} context @param {number} [like]  a view to repeat @returns {Outcome} */
export function addView(context, like) {
  const document = edit.addView(baked(context), like);
  return { document, select: { view: (document.views?.length ?? 1) - 1, key: 0 } };
}

export const deleteView = onKeyframes(edit.deleteView);

/**
 * As many views as wanted: more are added, the last ones deleted.
 *
 * @param {Context} context
 * @param {number} count
 */
export function setViewCount(context, count) {
  let document = baked(context);
  const { length } = document.views ?? [];
  for (let v = length; v < count; v++) document = edit.addView(document);
  for (let v = length - 1; v >= count; v--) document = edit.deleteView(document, v);
  return document;
}

export const setView = onKeyframes(edit.setView);

// Rigs and moves

export const setRig = asIs(edit.setRig);
export const setMove = asIs(edit.setMove);
export const deleteMove = asIs(edit.deleteMove);

/** One more move of the selected view. @param {Context} context @param {string} name */
export function applyMove(context, name) {
  return edit.applyMove(context.document.rig ? baked(context) : context.document, context.selection.view, name);
}

// Speed

/**
 * The easing of the whole path, or of the way to the next keyframe.
 *
 * @param {{document: Document, selection: Selection}} context
 * @param {boolean} segment
 * @returns {Easing}
 */
export function easingOf({ document, selection: { view, key } }, segment) {
  const whole = document.rig ?? document.views?.[view];
  return (segment ? document.views?.[view].keyframes?.[key] : whole)?.easing ?? 'linear';
}

/** @param {Context} context @param {boolean} segment @param {Easing} easing */
export function setEasing(context, segment, easing) {
  const { document, selection } = context;
  if (document.rig) return edit.setRig(document, { easing });
  if (segment) return setKeyframe(context, selection.view, selection.key, { easing });
  return edit.setView(document, selection.view, { easing });
}
