/**
 * Few keyframes for a given path: as many as it takes to come close to it everywhere.
 *
 * @typedef {import('./document.js').Keyframe} Keyframe
 * @typedef {{c2w: Float64Array, focals: ArrayLike<number>}} Samples  of a path at evenly spaced times; 16 numbers each
 */

import { KeyframePath } from './keyframes.js';
import { lookAt, quaternionFromMatrix, rotationOf } from './math.js';

/** Largest differences allowed: share of the path's length, radians, and share of the focal length. */
const AWAY = 1e-3;
const TURNED = 1e-3;
const ZOOMED = 1e-3;
/** Keyframes of a path at constant speed, above which one with times is tried. */
const MOST_EVEN = 32;

/**
 * Keyframes whose path meets the samples, at the same times.
 *
 * Without times of their own where the samples run at constant speed, with `times` (one for each sample) where not.
 * Cameras that all look at one point get it as their target.
 *
 * @param {Samples} samples
 * @param {{focal: number, times: ArrayLike<number>, away?: number}} how  focal length of keyframes without one; largest
 *   distance allowed, by default a thousandth of the path's length
 * @returns {Keyframe[]}
 */
export function fitKeyframes(samples, { focal, times, away }) {
  const count = samples.focals.length;
  const target = commonTarget(samples.c2w);
  const length = pathLength(samples.c2w);
  const limits = [away ?? (AWAY * length || 1e-6), TURNED, ZOOMED];
  const keyframe = (/** @type {number} */ i) => keyframeAt(samples, i, target, focal);
  const still = new KeyframePath([keyframe(0)], focal, 'views[0]');
  if (worstBetween(still, samples, limits, 0, count).error <= 1) return [keyframe(0)];
  return (
    grow(samples, limits, focal, (chosen) => chosen.map(keyframe), MOST_EVEN) ??
    grow(samples, limits, focal, (chosen) => chosen.map((i) => ({ ...keyframe(i), time: times[i] })), count) ??
    []
  );
}

/**
 * A number as an edit writes it: to the ninth decimal.
 *
 * @param {number} value
 */
export function tidy(value) {
  return Math.abs(value) < 1e6 ? Math.round(value * 1e9) / 1e9 || 0 : value;
}

/**
 * Keyframe fields of a pose; no rotation where there is none.
 *
 * @param {ArrayLike<number>} c2w
 * @param {number} [at]  where the pose starts
 * @returns {{position: number[], rotation?: number[]}}
 */
export function fieldsOf(c2w, at = 0) {
  const position = [c2w[at + 3], c2w[at + 7], c2w[at + 11]].map(tidy);
  const rotation = quaternionFromMatrix(rotationOf(c2w, at));
  const turned = Math.hypot(rotation[0], rotation[1], rotation[2]) > 1e-9;
  return turned ? { position, rotation: rotation.map(tidy) } : { position };
}

/**
 * Add the worst sample of every stretch between chosen ones until none is too far away; null if more than `most` are
 * needed, or if the keyframes themselves are passed at other times.
 *
 * @param {Samples} samples
 * @param {number[]} limits
 * @param {number} focal
 * @param {(chosen: number[]) => Keyframe[]} keyframes
 * @param {number} most
 * @returns {Keyframe[] | null}
 */
function grow(samples, limits, focal, keyframes, most) {
  let chosen = [0, samples.focals.length - 1];
  while (chosen.length <= most) {
    const made = keyframes(chosen);
    const path = new KeyframePath(made, focal, 'views[0]');
    const more = [];
    for (let k = 0; k + 1 < chosen.length; k++) {
      const { error, at } = worstBetween(path, samples, limits, chosen[k], chosen[k + 1]);
      if (error <= 1) continue;
      if (at === chosen[k]) return null;
      more.push(at);
    }
    if (more.length === 0) return made;
    chosen = [...chosen, ...more].sort((a, b) => a - b);
  }
  return null;
}

/**
 * @param {KeyframePath} path
 * @param {Samples} samples
 * @param {number[]} limits
 * @param {number} from
 * @param {number} to
 */
function worstBetween(path, samples, [away, turned, zoomed], from, to) {
  const found = new Float64Array(16);
  let worst = { error: 0, at: from };
  for (let i = from; i < to; i++) {
    const focal = path.at(i / (samples.focals.length - 1 || 1), found, 0);
    let moved = 0;
    let turn = 0;
    for (let n = 0; n < 12; n++) {
      const difference = (found[n] - samples.c2w[16 * i + n]) ** 2;
      if (n % 4 === 3) moved += difference;
      else turn += difference;
    }
    const angle = 2 * Math.asin(Math.min(Math.sqrt(turn / 8), 1));
    const zoom = Math.abs(Math.log(focal / samples.focals[i]));
    const error = Math.max(Math.sqrt(moved) / away, angle / turned, zoom / zoomed);
    if (error > worst.error) worst = { error, at: i };
  }
  return worst;
}

/**
 * @param {Samples} samples
 * @param {number} i
 * @param {number[] | null} target
 * @param {number} focal
 * @returns {Keyframe}
 */
function keyframeAt(samples, i, target, focal) {
  const fields = fieldsOf(samples.c2w, 16 * i);
  const lens = tidy(samples.focals[i]);
  return {
    ...(target ? { position: fields.position, look_at: target } : fields),
    ...(Math.abs(lens - focal) > 1e-8 ? { focal: lens } : {}),
  };
}

/** @param {Float64Array} c2w @returns {number} */
function pathLength(c2w) {
  let sum = 0;
  for (let at = 16; at < c2w.length; at += 16) {
    sum += Math.hypot(c2w[at + 3] - c2w[at - 13], c2w[at + 7] - c2w[at - 9], c2w[at + 11] - c2w[at - 5]);
  }
  return sum;
}

/** The point that upright cameras all look at, or null. @param {Float64Array} c2w @returns {number[] | null} */
function commonTarget(c2w) {
  const a = new Float64Array(9);
  const b = new Float64Array(3);
  const n = c2w.length / 16;
  for (let at = 0; at < c2w.length; at += 16) {
    for (let row = 0; row < 3; row++) {
      for (let column = 0; column < 3; column++) {
        const share = ((row === column ? 1 : 0) - c2w[at + 4 * row + 2] * c2w[at + 4 * column + 2]) / n;
        a[3 * row + column] += share;
        b[row] += share * c2w[at + 4 * column + 3];
      }
    }
  }
  const target = solve(a, b)?.map(tidy);
  if (!target) return null;
  for (let at = 0; at < c2w.length; at += 16) {
    const position = [c2w[at + 3], c2w[at + 7], c2w[at + 11]];
    if (Math.hypot(...position.map((value, axis) => value - target[axis])) < 1e-3) return null;
    const turned = lookAt(position, target);
    if (rotationOf(c2w, at).some((value, i) => Math.abs(value - turned[i]) > 1e-6)) return null;
  }
  return target;
}

/** Solve a x = b by Cramer's rule; null where lines are parallel. @param {Float64Array} a @param {Float64Array} b */
function solve(a, b) {
  const determinant = (/** @type {ArrayLike<number>} */ m) =>
    m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
  const whole = determinant(a);
  if (Math.abs(whole) < 1e-9) return null;
  return [0, 1, 2].map(
    (column) => determinant(a.map((value, i) => (i % 3 === column ? b[Math.floor(i / 3)] : value))) / whole,
  );
}
