/**
 * What a pointer can take hold of: keyframes, the ends of paths that have none, targets, aims; with the path tool, what
 * moves, turns and scales a whole path.
 *
 * @import {EditSession} from '../session/session.js'
 * @import {Point, Projection} from './painter.js'
 * @typedef {'key' | 'end' | 'target' | 'aim' | 'roll' | 'shift' | 'turn' | 'scale'} HandleKind
 * @typedef {{
 *   kind: HandleKind, view: number, key: number, point: Point, from: Point, axis?: number,
 * }} Handle  `from`: the camera it belongs to, or the pivot; `axis`: the world axis that a turn is about
 */

import { centerOf } from './scene_drawing.js';

/** Those first in this order win where several lie under the pointer. */
const ORDER = ['turn', 'scale', 'shift', 'aim', 'roll', 'target', 'key', 'end'];

/**
 * @param {EditSession} session
 * @param {number} reach  how far in front of a camera its aim is shown
 * @param {[number, number]} axes  world axes that the pane shows flat
 * @returns {Handle[]}
 */
export function handlesOf(session, reach, axes) {
  if (session.tool === 'path') return pathHandles(session, reach, axes);
  return session.built.views.flatMap((view, v) => {
    const keyframes = session.document?.views?.[v]?.keyframes;
    if (keyframes && view.keyframes) return keyHandles(session, v, reach);
    return [0, session.frames - 1].map((f) => {
      const point = centerOf(view.c2w, f);
      return { kind: /** @type {const} */ ('end'), view: v, key: f === 0 ? 0 : -1, point, from: point };
    });
  });
}

/** @param {EditSession} session @param {number} v @param {number} reach */
function keyHandles({ document, built, selection }, v, reach) {
  /** @type {Handle[]} */
  const handles = [];
  const targets = new Set();
  const made = built.views[v].keyframes ?? [];
  const keyframes = document?.views?.[v]?.keyframes ?? [];
  const selectedTarget = v === selection.view ? keyframes[selection.key]?.look_at : null;
  keyframes.forEach(({ position, look_at: target }, k) => {
    const point = /** @type {Point} */ (position);
    handles.push({ kind: 'key', view: v, key: k, point, from: point });
    if (v !== selection.view) return;
    if (target && !targets.has(String(target))) {
      targets.add(String(target));
      // Of the keyframes that share it, the selected one stands for it.
      const own = String(selectedTarget) === String(target) ? selection.key : k;
      handles.push({ kind: 'target', view: v, key: own, point: /** @type {Point} */ (target), from: point });
    }
    if (k !== selection.key || target) return;
    const pose = made[k].c2w;
    const along = (/** @type {number} */ axis, /** @type {number} */ length) =>
      /** @type {Point} */ ([0, 4, 8].map((row, i) => point[i] + length * pose[row + axis]));
    handles.push({ kind: 'aim', view: v, key: k, point: along(2, reach), from: point });
    handles.push({ kind: 'roll', view: v, key: k, point: along(1, -0.6 * reach), from: point });
  });
  return handles;
}

/** @param {EditSession} session @param {number} reach @param {[number, number]} axes @returns {Handle[]} */
function pathHandles({ built, selection: { view } }, reach, [across, along]) {
  if (!built.views[view]) return [];
  const pivot = centerOf(built.views[view].c2w, 0);
  const at = (/** @type {number} */ axis, /** @type {number} */ length) =>
    /** @type {Point} */ (pivot.with(axis, pivot[axis] + length));
  const handle = (/** @type {HandleKind} */ kind, /** @type {Point} */ point) => ({
    kind,
    view,
    key: 0,
    point,
    from: pivot,
    axis: 3 - across - along,
  });
  const up = along === 1 ? -reach : reach;
  return [handle('shift', pivot), handle('turn', at(across, reach)), handle('scale', at(along, up))];
}

/**
 * The handle under a pointer.
 *
 * @param {Handle[]} handles
 * @param {Projection} projection
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 * @param {number} chosen  this view's handles come before the others'
 * @returns {Handle | null}
 */
export function handleAt(handles, projection, x, y, radius, chosen) {
  let best = null;
  let bestScore = Infinity;
  for (const handle of handles) {
    const at = projection.project(handle.point);
    const away = Math.hypot(at.x - x, at.y - y);
    if (at.depth < (projection.near ?? -Infinity) || away > radius) continue;
    const score = away + 2 * ORDER.indexOf(handle.kind) + (handle.view === chosen ? 0 : radius);
    if (score < bestScore) [best, bestScore] = [handle, score];
  }
  return best;
}

/**
 * The keyframes within a rectangle of a pane.
 *
 * @param {Handle[]} handles
 * @param {Projection} projection
 * @param {{x0: number, y0: number, x1: number, y1: number}} marquee
 */
export function keysWithin(handles, projection, { x0, y0, x1, y1 }) {
  const between = (/** @type {number} */ value, /** @type {number} */ a, /** @type {number} */ b) =>
    value >= Math.min(a, b) && value <= Math.max(a, b);
  return handles
    .filter(({ kind, point }) => {
      if (kind !== 'key') return false;
      const { x, y, depth } = projection.project(point);
      return depth >= (projection.near ?? -Infinity) && between(x, x0, x1) && between(y, y0, y1);
    })
    .map(({ view, key }) => ({ view, key }));
}
