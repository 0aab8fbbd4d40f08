/**
 * Views from keyframes; the same as Keyframe and from_keyframes in cvd_core/geometry/trajectories.py.
 *
 * @typedef {import('./document.js').Keyframe} Keyframe
 * @typedef {import('./document.js').Easing} Easing
 */

import { CameraPath } from './camera_path.js';
import { TrajectoryError, inPlace } from './messages.js';
import { clipTimes, easingCurve, interval, inverse } from './interpolation.js';
import { lookAt, matrixFromQuaternion, mix, normaliseQuaternion, pose } from './math.js';

/**
 * @param {Keyframe} keyframe
 * @returns {number[]} camera-to-world, 16 numbers
 */
export function poseOf({ position, rotation, look_at: target }) {
  if (target) return pose(lookAt(position, target), position);
  return pose(rotation ? matrixFromQuaternion(normaliseQuaternion(rotation)) : [1, 0, 0, 0, 1, 0, 0, 0, 1], position);
}

/** The camera of a view's keyframes at any time, with their easings and aims. */
export class KeyframePath {
  #keyframes;
  #path;

  /**
   * @param {Keyframe[]} keyframes
   * @param {number} focal  of keyframes without one
   * @param {string} place  where the view stands in the document
   */
  constructor(keyframes, focal, place) {
    this.#keyframes = keyframes;
    this.poses = keyframes.map((keyframe, k) => inPlace(`${place}.keyframes[${k}]`, () => checkedPose(keyframe)));
    this.focals = keyframes.map((keyframe) => keyframe.focal ?? focal);
    this.#path = inPlace(`${place}.keyframes`, () => new CameraPath(this.poses, this.focals, timesOf(keyframes)));
    this.times = this.#path.times;
    this.begin = this.times[0];
    this.duration = this.times[this.times.length - 1] - this.begin;
  }

  /**
   * Where on the way between its two keyframes the camera is when `share` of the path's time has gone by.
   *
   * @param {number} share
   */
  between(share) {
    const { times } = this;
    const t = this.begin + this.duration * share;
    const from = interval(times, t);
    const to = Math.min(from + 1, times.length - 1);
    const duration = times[to] - times[from];
    const done = duration > 0 ? easingCurve(this.#keyframes[from].easing ?? 'linear')((t - times[from]) / duration) : 0;
    return { from, to, done, time: times[from] + duration * done };
  }

  /**
   * Put the pose at `share` of the path's time into `out`.
   *
   * @param {number} share
   * @param {{[index: number]: number}} out  16 numbers from `offset` on
   * @param {number} offset
   * @returns {number} focal length
   */
  at(share, out, offset) {
    const { from, to, done, time } = this.between(share);
    const focal = this.#path.at(time, out, offset);
    const [a, b] = [this.#keyframes[from].look_at, this.#keyframes[to].look_at];
    if (a && b) {
      const turned = lookAt([out[offset + 3], out[offset + 7], out[offset + 11]], mix(a, b, done));
      for (let i = 0; i < 9; i++) out[offset + i + Math.floor(i / 3)] = turned[i];
    }
    return focal;
  }
}

/**
 * One view along a smooth path through keyframes.
 *
 * @param {Keyframe[]} keyframes
 * @param {{frames: number, easing: Easing, focal: number, path: string}} how  the lens of keyframes without one, and
 *   where the view stands in the document
 * @returns {{c2w: Float64Array, focals: Float64Array, keyframes: {c2w: Float64Array, focal: number, frame: number}[]}}
 */
export function fromKeyframes(keyframes, { frames, easing, focal, path: place }) {
  const path = new KeyframePath(keyframes, focal, place);
  return inPlace(`${place}.keyframes`, () => {
    const c2w = new Float64Array(16 * frames);
    const focals = clipTimes(frames, easing).map((share, f) => path.at(share, c2w, 16 * f));
    const curve = easingCurve(easing);
    return {
      c2w,
      focals,
      keyframes: path.poses.map((numbers, k) => ({
        c2w: Float64Array.from(numbers),
        focal: path.focals[k],
        frame: path.duration ? inverse(curve, (path.times[k] - path.begin) / path.duration) * (frames - 1) : 0,
      })),
    };
  });
}

/** @param {Keyframe} keyframe */
function checkedPose(keyframe) {
  const { rotation, look_at: target, easing } = keyframe;
  if (rotation && target) {
    throw new TrajectoryError('a keyframe has both a rotation and a look_at target; give one of them');
  }
  if (rotation && !rotation.some(Boolean)) {
    throw new TrajectoryError('keyframe rotation is a zero quaternion; no rotation is 0, 0, 0, 1 (x, y, z, w)');
  }
  if (easing !== undefined) easingCurve(easing);
  return poseOf(keyframe);
}

/** @param {Keyframe[]} keyframes @returns {number[] | null} */
function timesOf(keyframes) {
  const times = keyframes.flatMap(({ time }) => (typeof time === 'number' ? [time] : []));
  if (times.length > 0 && times.length < keyframes.length) {
    throw new TrajectoryError(
      `${times.length} of ${keyframes.length} keyframes have a time; give one to all of them or to none`,
    );
  }
  return times.length ? times : null;
}
