/**
 * Edits of several keyframes at once: those of a selection, those that share a target, whole paths. As in
 * edit_keyframes.js, every edit returns a new document.
 *
 * @import {Document, Keyframe} from './document.js'
 * @typedef {{view: number, key: number}} Place  of a keyframe
 * @typedef {{rotation?: number[], factor?: number, shift?: number[]}} Transform  a rotation (9 numbers), then an
 *   enlargement, both about a pivot, then a shift
 */

import { deleteKeyframe, keyframesOf, put, setKeyframe, setView } from './edit_keyframes.js';
import { fieldsOf, tidy } from './fit.js';
import { poseOf } from './keyframes.js';
import { add, distance, multiplyRotations, pose, positionOf, rotate, rotationOf, scale, subtract } from './math.js';

/** World units by which targets that count as one may differ. */
const SAME = 1e-9;
const IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1];

/**
 * Move a target.
 *
 * @param {Document} document @param {number} view @param {number} key @param {number[]} point
 * @param {boolean} together  also that of all other keyframes, of any view, where it is the same point
 */
export function moveTarget(document, view, key, point, together) {
  const old = keyframesOf(document, view)[key].look_at;
  const shares = (/** @type {Keyframe} */ { look_at: target }) =>
    Boolean(together && old && target && distance(old, target) < SAME);
  const places = placesOf(document).filter(
    (at) => (at.view === view && at.key === key) || shares(keyframesOf(document, at.view)[at.key]),
  );
  return places.reduce((edited, at) => setKeyframe(edited, at.view, at.key, { look_at: point }), document);
}

/** All keyframes of all views. @param {Document} document @returns {Place[]} */
export function placesOf(document) {
  return (document.views ?? []).flatMap(({ keyframes = [] }, view) => keyframes.map((_, key) => ({ view, key })));
}

/** Move several keyframes, not their targets. @param {Document} document @param {Place[]} places @param {number[]} by */
export function moveKeyframes(document, places, by) {
  return places.reduce((edited, { view, key }) => {
    const position = add(keyframesOf(edited, view)[key].position, by);
    return setKeyframe(edited, view, key, { position });
  }, document);
}

/** @param {Document} document @param {Place[]} places */
export function deleteKeyframes(document, places) {
  const lastFirst = [...places].sort((a, b) => b.view - a.view || b.key - a.key);
  return lastFirst.reduce((edited, { view, key }) => deleteKeyframe(edited, view, key), document);
}

/**
 * Move, turn or scale a whole path, and what its cameras look at.
 *
 * @param {Document} document
 * @param {number} view
 * @param {Transform} transform
 * @param {{pivot?: number[], keepStart?: boolean}} [about]  the point that turns and scales leave alone, by default where
 *   the path starts; whether the first camera stays as it is
 */
export function transformPath(document, view, transform, { pivot, keepStart = false } = {}) {
  const keyframes = keyframesOf(document, view);
  const center = pivot ?? keyframes[0].position;
  return setView(document, view, {
    keyframes: keyframes.map((keyframe, k) =>
      keepStart && k === 0 ? keyframe : transformed(keyframe, transform, center),
    ),
  });
}

/** @param {Document} document @param {number} view @param {number[]} by  world units */
export function offsetView(document, view, by) {
  return transformPath(document, view, { shift: by });
}

/** @param {Keyframe} keyframe @param {Transform} transform @param {number[]} pivot @returns {Keyframe} */
function transformed(keyframe, { rotation = IDENTITY, factor = 1, shift = [0, 0, 0] }, pivot) {
  const taken = (/** @type {number[]} */ point) =>
    add(add(pivot, scale(rotate(rotation, subtract(point, pivot)), factor)), shift).map(tidy);
  const c2w = poseOf(keyframe);
  const turned = pose(multiplyRotations(rotation, rotationOf(c2w)), positionOf(c2w));
  const position = taken(keyframe.position);
  // A camera that looks at a target is upright: it can keep one where the rotation leaves it so.
  const upright = Math.abs(rotation[4] - 1) < SAME;
  if (keyframe.look_at && upright) return { ...keyframe, position, look_at: taken(keyframe.look_at) };
  return put(keyframe, { position, rotation: fieldsOf(turned).rotation, look_at: undefined });
}
