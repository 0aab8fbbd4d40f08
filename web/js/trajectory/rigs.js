/**
 * Camera rigs: V trajectories that leave one common first pose; the same as cvd_core/geometry/rigs.py.
 *
 * @typedef {import('./document.js').Easing} Easing
 * @typedef {import('./moves.js').Motion} Motion
 */

import { CameraPath } from './camera_path.js';
import { clipTimes, count, pick, positive } from './interpolation.js';
import { FORWARD, RIGHT, cross, normalise, pose, scale, subtract } from './math.js';
import { orbit, translation } from './moves.js';
import { RIGS, parametersOf } from './presets.js';

/** The point all views of CVD's rigs turn to. */
const SUBJECT = FORWARD;

/**
 * @type {Record<string, (parameters: Record<string, number>, views: number, frames: number, easing: Easing) =>
 * Motion[]>}
 */
const BUILDERS = {
  circle: ({ distance }, views, frames, easing) =>
    depart(
      spread(views, (v) => onCircle((2 * Math.PI * v) / views)),
      distance,
      frames,
      easing,
    ),
  upper_hemi: ({ distance }, views, frames, easing) =>
    depart(
      spread(views, (v) => onCircle(Math.PI + Math.PI * share(v, views))),
      distance,
      frames,
      easing,
    ),
  interpolate: ({ distance }, views, frames, easing) =>
    depart(
      spread(views, (v) => {
        const a = Math.PI * share(v, views);
        return [Math.cos(a), 0.3 * Math.cos(a + 0.5), -0.2 * Math.sin(a)];
      }),
      distance,
      frames,
      easing,
    ),
  orbit: ({ angle, distance }, views, frames, easing) => {
    const half = positive('angle', angle) / 2;
    return spread(views, (v) => orbit({ amount: half * side(v, views), distance }, frames, easing));
  },
  stereo: ({ baseline }, views, frames, easing) => {
    const half = positive('baseline', baseline) / 2;
    return spread(views, (v) => translation(RIGHT, half * side(v, views), frames, easing));
  },
};

/**
 * @param {import('./document.js').Move} fields  name, easing and parameters
 * @param {number} views
 * @param {number} frames
 * @returns {Motion[]}
 */
export function makeRig({ name, easing = 'linear', ...parameters }, views, frames) {
  const all = parametersOf('rig', pick('rig', name, RIGS), parameters);
  return BUILDERS[name](all, count('views', views), frames, easing);
}

/** @template T @param {number} views @param {(v: number) => T} make @returns {T[]} */
const spread = (views, make) => Array.from({ length: views }, (_, v) => make(v));

/** Evenly spaced from 0 to 1; a single view is at 0. @param {number} v @param {number} views */
const share = (v, views) => v / (views - 1 || 1);

/** Evenly spaced from -1, left, to 1, right; a single view goes right. @param {number} v @param {number} views */
const side = (v, views) => (views > 1 ? 2 * share(v, views) - 1 : 1);

/** @param {number} a */
const onCircle = (a) => [Math.cos(a), Math.sin(a), 0];

/**
 * Straight lines from the start to `directions` x `distance`, slerping to look at the subject.
 *
 * @param {number[][]} directions
 * @param {number} distance
 * @param {number} frames
 * @param {Easing} easing
 * @returns {Motion[]}
 */
function depart(directions, distance, frames, easing) {
  positive('distance', distance);
  const u = clipTimes(frames, easing);
  const start = pose([1, 0, 0, 0, 1, 0, 0, 0, 1], [0, 0, 0]);
  return directions.map((direction) => {
    const center = scale(direction, distance);
    const z = normalise(subtract(SUBJECT, center));
    const y = normalise(cross(z, RIGHT)); // in the world's y-z plane, as in the released code
    const x = cross(y, z);
    const end = pose([x[0], y[0], z[0], x[1], y[1], z[1], x[2], y[2], z[2]], center);
    const path = new CameraPath([start, end], [1, 1], [0, 1]);
    const poses = new Float64Array(16 * frames);
    u.forEach((time, f) => path.at(time, poses, 16 * f));
    return { poses, zoom: new Float64Array(frames).fill(1) };
  });
}
