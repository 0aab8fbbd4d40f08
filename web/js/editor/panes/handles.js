/**
 * What a pointer can take hold of: keyframes, the ends of paths that have none, targets, aims.
 */

import { centerOf } from './scene_drawing.js';

/**
 * @typedef {import('./painter.js').Point} Point
 * @typedef {'key' | 'end' | 'target' | 'aim' | 'roll'} HandleKind
 * @typedef {{kind: HandleKind, view: number, key: number, point: Point, from: Point}} Handle  `from`: the camera it
 *   belongs to
 */

/** Those first in this order win where several lie under the pointer. */
const ORDER = ['aim', 'roll', 'target', 'key', 'end'];

/**
 * @param {import('../session/session.js').EditSession} session
 * @param {number} reach  how far in front of a camera its aim is shown
 * @returns {Handle[]}
 */
export function handlesOf(session, reach) {
  /** @type {Handle[]} */
  const handles = [];
  const { built, selection } = session;
  built.views.forEach((view, v) => {
    const described = session.document?.views?.[v]?.keyframes;
    const made = view.keyframes;
    if (!described || !made) {
      for (const f of [0, session.frames - 1]) {
        const point = centerOf(view.c2w, f);
        handles.push({ kind: 'end', view: v, key: f === 0 ? 0 : -1, point, from: point });
      }
      return;
    }
    const aims = v === selection.view;
    const targets = new Set();
    described.forEach((/** @type {any} */ keyframe, /** @type {number} */ k) => {
      const point = /** @type {Point} */ (keyframe.position);
      handles.push({ kind: 'key', view: v, key: k, point, from: point });
      if (!aims) return;
      const target = keyframe.look_at;
      if (target && !targets.has(String(target))) {
        targets.add(String(target));
        handles.push({ kind: 'target', view: v, key: k, point: target, from: point });
      }
      if (k !== selection.key) return;
      const pose = made[k].c2w;
      const along = (/** @type {number} */ axis, /** @type {number} */ length) =>
        /** @type {Point} */ ([0, 4, 8].map((row, i) => point[i] + length * pose[row + axis]));
      if (!target) {
        handles.push({ kind: 'aim', view: v, key: k, point: along(2, reach), from: point });
        handles.push({ kind: 'roll', view: v, key: k, point: along(1, -0.6 * reach), from: point });
      }
    });
  });
  return handles;
}

/**
 * The handle under a pointer.
 *
 * @param {Handle[]} handles
 * @param {{project: (point: ArrayLike<number>) => {x: number, y: number, depth: number}, near?: number}} projection
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 * @param {number} selected  this view's handles come before the others'
 * @returns {Handle | null}
 */
export function handleAt(handles, projection, x, y, radius, selected) {
  let best = null;
  let bestScore = Infinity;
  for (const handle of handles) {
    const at = projection.project(handle.point);
    const away = Math.hypot(at.x - x, at.y - y);
    if (at.depth < (projection.near ?? -Infinity) || away > radius) continue;
    const score = away + 2 * ORDER.indexOf(handle.kind) + (handle.view === selected ? 0 : radius);
    if (score < bestScore) [best, bestScore] = [handle, score];
  }
  return best;
}
