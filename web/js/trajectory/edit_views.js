/**
 * Edits of whole views: added, deleted, mirrored, moved, copied, started from one pose; rigs and moves. As in
 * edit_keyframes.js, every edit returns a new document.
 *
 * @import {Document, Keyframe, View} from './document.js'
 */

import { TrajectoryError } from './messages.js';
import { VERSION, VIEW_COLORS } from './document.js';
import { keyframesOf, put, setView } from './edit_keyframes.js';
import { fieldsOf, tidy } from './fit.js';
import { poseOf } from './keyframes.js';
import { add, invertPose, multiplyPoses, positionOf, rotate, rotationOf } from './math.js';
import { DEFAULT_FOCAL } from './presets.js';

/** How far a new view's path goes to the side. */
const ASIDE = 0.3;
/** Radians between one direction and the next: none comes twice, and all are well apart. */
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));

/**
 * A view more: one like the view `like`, or else one that starts where the first does and goes aside, each in a direction
 * of its own.
 *
 * @param {Document} document @param {number} [like]
 * @returns {Document}
 */
export function addView(document, like) {
  const views = document.views ?? [];
  const copied = like === undefined ? null : views[like];
  const names = views.map((view, v) => view.name ?? `view${v}`);
  const identity = {
    name: freeName(names, copied ? names[like ?? 0] : `view${views.length}`),
    color: freeColor(views),
  };
  const added = copied
    ? { ...copied, ...identity }
    : { ...identity, keyframes: aside(keyframesOf(document, 0)[0], views.length) };
  return { ...document, views: [...views, added] };
}

/** @param {Keyframe} start @param {number} n  of the view: the first to be added goes to the right @returns {Keyframe[]} */
function aside(start, n) {
  const { time, easing, ...first } = start;
  const c2w = poseOf(start);
  const angle = (n - 1) * GOLDEN_ANGLE;
  const [right, up] = [ASIDE * Math.cos(angle), ASIDE * Math.sin(angle)];
  const position = [0, 4, 8].map((row, axis) => tidy(start.position[axis] + right * c2w[row] - up * c2w[row + 1]));
  return [first, { ...first, position }];
}

/** @param {string[]} taken @param {string} wanted */
export function freeName(taken, wanted) {
  let name = wanted;
  for (let n = 2; taken.includes(name); n++) name = `${wanted} ${n}`;
  return name;
}

/** @param {View[]} views @returns {string} the default colour that is used least */
function freeColor(views) {
  const used = views.map((view, v) => view.color ?? VIEW_COLORS[v % VIEW_COLORS.length]);
  const times = (/** @type {string} */ color) => used.filter((other) => other === color).length;
  return VIEW_COLORS.reduce((best, color) => (times(color) < times(best) ? color : best));
}

/** @param {Document} document @param {number} view @returns {Document} */
export function deleteView(document, view) {
  const views = document.views ?? [];
  if (views.length === 1) throw new TrajectoryError('A trajectory needs at least one view');
  // Views without a name or colour are called and coloured by their number, which changes.
  return { ...document, views: views.map((old, v) => identified(old, v)).toSpliced(view, 1) };
}

/** @param {View} view @param {number} v @returns {View} */
function identified(view, v) {
  if (view.name && view.color) return view;
  return { name: `view${v}`, color: VIEW_COLORS[v % VIEW_COLORS.length], ...view };
}

/**
 * Swap left and right (axis 0), up and down (1) or forward and back (2), as the view's first camera sees them; it
 * stays.
 *
 * Targets are swapped too, but for forward and back: there the camera goes away from what it went to.
 *
 * @param {Document} document @param {number} view @param {number} axis
 */
export function mirrorView(document, view, axis) {
  const keyframes = keyframesOf(document, view);
  const start = poseOf(keyframes[0]);
  const back = invertPose(start);
  const sign = [0, 1, 2].map((i) => (i === axis ? -1 : 1));
  const swapped = (/** @type {number[]} */ local) =>
    [...local].map((value, i) => value * (i < 12 ? sign[Math.floor(i / 4)] * (sign[i % 4] ?? 1) : 1));
  return setView(document, view, {
    keyframes: keyframes.map((keyframe, k) => {
      if (k === 0) return keyframe;
      const { position, rotation } = fieldsOf(multiplyPoses(start, swapped(multiplyPoses(back, poseOf(keyframe)))));
      const target =
        keyframe.look_at &&
        (axis === 2
          ? keyframe.look_at
          : apply(
              start,
              apply(back, keyframe.look_at).map((value, i) => value * sign[i]),
            ).map(tidy));
      return put(keyframe, { position, rotation: target ? undefined : rotation, look_at: target ?? undefined });
    }),
  });
}

/** Where a pose takes a point. @param {ArrayLike<number>} c2w @param {ArrayLike<number>} point */
function apply(c2w, point) {
  return add(rotate(rotationOf(c2w), point), positionOf(c2w));
}

/**
 * Give the path of one view to another, which keeps its name and colour.
 *
 * @param {Document} document
 * @param {number} from
 * @param {number} to
 */
export function copyPath(document, from, to) {
  const { easing, focal, moves, keyframes } = document.views?.[from] ?? {};
  return setView(document, to, { easing, focal, moves, keyframes });
}

/**
 * Let the first keyframe of all views have the pose and lens of that of one view; the others stay where they are.
 *
 * @param {Document} document @param {number} view
 */
export function lockFirstPose(document, view) {
  const { position, rotation, look_at: target, focal } = keyframesOf(document, view)[0];
  const lens = focal ?? document.views?.[view].focal ?? DEFAULT_FOCAL;
  return eachOther(document, view, (other, keyframes) => [
    put(keyframes[0], {
      position,
      rotation: rotation ?? undefined,
      look_at: target ?? undefined,
      focal: (other.focal ?? DEFAULT_FOCAL) === lens ? undefined : lens,
    }),
    ...keyframes.slice(1),
  ]);
}

/**
 * Move the paths of all views as they are, so that they start where one view does. Their movement relative to their
 * first camera, which is what the networks see, does not change.
 *
 * @param {Document} document @param {number} view
 */
export function alignStarts(document, view) {
  const start = poseOf(keyframesOf(document, view)[0]);
  const aligned = eachOther(document, view, (_, keyframes) => {
    const there = multiplyPoses(start, invertPose(poseOf(keyframes[0])));
    return keyframes.map((keyframe) => moved(keyframe, there));
  });
  return lockFirstPose(aligned, view);
}

/**
 * @param {Document} document
 * @param {number} view
 * @param {(other: View, keyframes: Keyframe[]) => Keyframe[]} edit  of all other views with keyframes
 * @returns {Document}
 */
function eachOther(document, view, edit) {
  return {
    ...document,
    views: document.views?.map((other, v) =>
      v !== view && other.keyframes ? { ...other, keyframes: edit(other, other.keyframes) } : other,
    ),
  };
}

/**
 * A keyframe taken elsewhere by a pose. Targets go along where cameras stay upright; else they become rotations.
 *
 * @param {Keyframe} keyframe
 * @param {number[]} there
 * @returns {Keyframe}
 */
function moved(keyframe, there) {
  const c2w = multiplyPoses(there, poseOf(keyframe));
  const upright = Math.abs(there[5] - 1) < 1e-9;
  if (keyframe.look_at && upright) {
    return { ...keyframe, position: positionOf(c2w).map(tidy), look_at: apply(there, keyframe.look_at).map(tidy) };
  }
  const { position, rotation } = fieldsOf(c2w);
  return put(keyframe, { position, rotation, look_at: undefined });
}

/**
 * All views start over from a rig; the easing and lens of the rig before stay.
 *
 * @param {Document | null} document
 * @param {string} name
 * @returns {Document}
 */
export function applyRig(document, name) {
  return { version: VERSION, rig: put({ name }, { easing: document?.rig?.easing, focal: document?.rig?.focal }) };
}

/** @param {Document} document @param {Record<string, any>} fields  undefined ones are taken out @returns {Document} */
export function setRig(document, fields) {
  return { ...document, rig: put(document.rig ?? { name: 'circle' }, fields) };
}

/**
 * One more move of a view, or the first in the place of its keyframes.
 *
 * @param {Document} document
 * @param {number} view
 * @param {string} name
 */
export function applyMove(document, view, name) {
  const moves = document.views?.[view].moves ?? [];
  return setView(document, view, { moves: [...moves, { name }], keyframes: undefined });
}

/**
 * @param {Document} document
 * @param {number} view
 * @param {number} move
 * @param {Record<string, any>} fields  undefined ones are taken out
 */
export function setMove(document, view, move, fields) {
  const moves = document.views?.[view].moves;
  return setView(document, view, { moves: moves?.map((old, m) => (m === move ? put(old, fields) : old)) });
}

/** @param {Document} document @param {number} view @param {number} move */
export function deleteMove(document, view, move) {
  const moves = document.views?.[view].moves ?? [];
  if (moves.length === 1) throw new TrajectoryError('A view needs at least one move; choose another one instead');
  return setView(document, view, { moves: moves.toSpliced(move, 1) });
}
