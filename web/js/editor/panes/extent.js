/**
 * How large the whole is: what a pane must show, and how large cameras are drawn in it.
 */

import { centerOf, drawnFrames, seenPoint } from './scene_drawing.js';

/**
 * @typedef {import('./painter.js').Point} Point
 * @typedef {import('../session/session.js').EditSession} EditSession
 */

/** Depth of the frusta that must be in sight. */
const FRUSTUM = 0.2;
/** Size of a camera as a share of the whole. */
const CAMERA = 0.14;

/**
 * Points that a pane should show: paths, the frusta at their ends, what cameras look at.
 *
 * @param {EditSession} session
 * @returns {Point[]}
 */
export function extentPoints({ built, document, frames }) {
  /** @type {Point[]} */
  const points = [[0, 0, 1]];
  for (const { c2w, intrinsics } of built.views) {
    for (const f of drawnFrames(frames)) points.push(centerOf(c2w, f));
    for (const f of [0, frames - 1]) {
      for (const corner of [0, 1]) points.push(seenPoint(c2w, 16 * f, intrinsics, 4 * f, corner, corner, FRUSTUM));
    }
  }
  for (const view of document?.views ?? []) {
    for (const keyframe of view.keyframes ?? []) {
      if (keyframe.look_at) points.push(/** @type {Point} */ (keyframe.look_at));
    }
  }
  return points;
}

/**
 * How large cameras are drawn, in world units.
 *
 * @param {EditSession} session
 */
export function markSize({ built, frames }) {
  const low = [-0.2, -0.2, 0];
  const high = [0.2, 0.2, 1];
  for (const view of built.views) {
    for (const f of drawnFrames(frames)) {
      centerOf(view.c2w, f).forEach((value, i) => {
        low[i] = Math.min(low[i], value);
        high[i] = Math.max(high[i], value);
      });
    }
  }
  return CAMERA * Math.hypot(...high.map((value, i) => value - low[i]));
}
