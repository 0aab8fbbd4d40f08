/**
 * The selected keyframes.
 *
 * @import {Document} from '../../trajectory/document.js'
 * @typedef {import('../../trajectory/edit.js').Place} Place  of a keyframe
 * @typedef {{view: number, key: number, others: Place[]}} Selection  the view and the keyframe that fields act on, and the
 *   other keyframes that are moved and deleted with it
 */

/** All selected keyframes, the one that fields act on first. @param {Selection} selection @returns {Place[]} */
export function selected({ view, key, others }) {
  return [{ view, key }, ...others];
}

/** @param {Selection} selection @param {Place} place */
export function isSelected(selection, place) {
  return selected(selection).some((at) => same(at, place));
}

/** The selection with a keyframe more, or without it. @param {Selection} selection @param {Place} place @returns {Place[]} */
export function toggled(selection, place) {
  const all = selected(selection);
  return isSelected(selection, place) ? all.filter((at) => !same(at, place)) : [place, ...all];
}

/**
 * What of a selection there still is.
 *
 * @param {Selection} selection
 * @param {Document | null} document
 * @param {number} views
 * @returns {Selection}
 */
export function keptIn(selection, document, views) {
  const keysOf = (/** @type {number} */ v) => document?.views?.[v]?.keyframes?.length ?? 1;
  const view = Math.max(Math.min(selection.view, views - 1), 0);
  const key = Math.min(Math.max(selection.key, 0), keysOf(view) - 1);
  const others = selection.others.filter(
    (at) => at.view < views && at.key < keysOf(at.view) && !same(at, { view, key }),
  );
  return { view, key, others };
}

/** @param {Place} a @param {Place} b */
function same(a, b) {
  return a.view === b.view && a.key === b.key;
}
