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

/**
 * One view along a smooth path through keyframes.
 *
 * @param {Keyframe[]} keyframes
 * @param {{frames: number, easing: Easing, focal: number, path: string}} how  the lens of keyframes without one, and
 *   where the view stands in the document
 * @returns {{c2w: Float64Array, focals: Float64Array, keyframes: {c2w: Float64Array, focal: number, frame: number}[]}}
 */
export function fromKeyframes(keyframes, { frames, easing, focal, path: place }) {
  const poses = keyframes.map((keyframe, k) => inPlace(`${place}.keyframes[${k}]`, () => checkedPose(keyframe)));
  const focals = keyframes.map((keyframe) => keyframe.focal ?? focal);
  return inPlace(`${place}.keyframes`, () => {
    const path = new CameraPath(poses, focals, timesOf(keyframes));
    const clip = clipTimes(frames, easing);
    const { times } = path;
    const [begin, whole] = [times[0], times[times.length - 1] - times[0]];
    const c2w = new Float64Array(16 * frames);
    const lenses = clip.map((share, f) => cameraAt(keyframes, path, begin + whole * share, c2w, 16 * f));
    const curve = easingCurve(easing);
    return {
      c2w,
      focals: lenses,
      keyframes: poses.map((at, k) => ({
        c2w: Float64Array.from(at),
        focal: focals[k],
        frame: whole ? inverse(curve, (times[k] - begin) / whole) * (frames - 1) : 0,
      })),
    };
  });
}

/**
 * The pose at time `t` of the path, with the easing and the aim of the way it is on.
 *
 * @param {Keyframe[]} keyframes
 * @param {CameraPath} path
 * @param {number} t
 * @param {Float64Array} out
 * @param {number} offset
 */
function cameraAt(keyframes, path, t, out, offset) {
  const { times } = path;
  const last = keyframes.length - 1;
  const k = interval(times, t);
  const next = Math.min(k + 1, last);
  const duration = times[next] - times[k];
  const share = duration > 0 ? easingCurve(keyframes[k].easing ?? 'linear')((t - times[k]) / duration) : 0;
  const focal = path.at(times[k] + duration * share, out, offset);
  const [from, to] = [keyframes[k].look_at, keyframes[next].look_at];
  if (from && to) {
    const turned = lookAt([out[offset + 3], out[offset + 7], out[offset + 11]], mix(from, to, share));
    for (let i = 0; i < 9; i++) out[offset + i + Math.floor(i / 3)] = turned[i];
  }
  return focal;
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
