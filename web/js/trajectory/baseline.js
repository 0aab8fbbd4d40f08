/**
 * When two cameras stand in one place: distances and angles between poses, judged against the rig's extent and against
 * rounding, as in cvd_core/geometry/epipolar.py.
 */

import { invertPose, length, multiplyPoses, positionOf } from './math.js';

/** As in cvd_core/geometry/epipolar.py: a baseline under this share of the rig's extent gives no usable line. */
const SMALLEST_BASELINE = 1e-4;
/** Rounding of camera centres, relative to their distance from the origin (or to 1). */
export const ROUNDING = 1e-6;
/** Directions in which the outermost cameras are looked for. */
const DIRECTIONS = 60;
/** Cameras up to which the extent is that of every pair of them; beyond, of the outermost ones. */
const MOST_PAIRED = 1024;

/** @param {Float64Array} c2w @param {number} frames @returns {Float64Array} */
export function relativeToFirst(c2w, frames) {
  const back = invertPose(c2w.subarray(0, 16));
  const poses = new Float64Array(c2w.length);
  for (let f = 0; f < frames; f++) {
    poses.set(
      f ? multiplyPoses(back, c2w.subarray(16 * f, 16 * f + 16)) : [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
      16 * f,
    );
  }
  return poses;
}

/**
 * Distance below which two camera centres count as one.
 *
 * @param {Float64Array[]} poses  of every view, relative to its first
 * @param {Float64Array[]} world  the poses that those were computed from, with the rounding of their coordinates
 */
export function smallestBaseline(poses, world) {
  const farthest = [...centersOf(poses), ...centersOf(world)].reduce(
    (most, center) => Math.max(most, length(center)),
    1,
  );
  return Math.max(SMALLEST_BASELINE * extentOf(centersOf(poses)), ROUNDING * farthest);
}

/** Camera centres of all frames of all views. @param {Float64Array[]} poses */
function centersOf(poses) {
  return poses.flatMap((c2w) => Array.from({ length: c2w.length / 16 }, (_, f) => positionOf(c2w, 16 * f)));
}

/** Largest distance between any two points. @param {import('./math.js').Vector[]} points */
function extentOf(points) {
  const outer = points.length > MOST_PAIRED ? outermost(points) : points;
  let most = 0;
  for (let i = 0; i < outer.length; i++) {
    for (let j = 0; j < i; j++) most = Math.max(most, gapSquared(outer[i], 0, 1, outer[j], 0, 1));
  }
  return Math.sqrt(most);
}

/** Those of very many points that lie outermost in some direction. @param {import('./math.js').Vector[]} points */
function outermost(points) {
  const found = new Set();
  for (let n = 0; n < DIRECTIONS; n++) {
    const z = (n + 0.5) / DIRECTIONS;
    const level = Math.sqrt(1 - z * z);
    const [x, y] = [level * Math.cos(2.4 * n), level * Math.sin(2.4 * n)]; // evenly over a half sphere
    let [low, high] = [points[0], points[0]];
    let [least, most] = [Infinity, -Infinity];
    for (const point of points) {
      const along = point[0] * x + point[1] * y + point[2] * z;
      if (along < least) [least, low] = [along, point];
      if (along > most) [most, high] = [along, point];
    }
    found.add(low).add(high);
  }
  return [...found];
}

/**
 * Squared distance of two points, three numbers at `at` and every `step` further each.
 *
 * @param {ArrayLike<number>} a
 * @param {number} at
 * @param {number} step
 * @param {ArrayLike<number>} b
 * @param {number} atB
 * @param {number} stepB
 */
export function gapSquared(a, at, step, b, atB, stepB) {
  const x = a[at] - b[atB];
  const y = a[at + step] - b[atB + stepB];
  const z = a[at + 2 * step] - b[atB + 2 * stepB];
  return x * x + y * y + z * z;
}

/**
 * Angle between the rotations of two poses.
 *
 * @param {ArrayLike<number>} a
 * @param {number} atA
 * @param {ArrayLike<number>} b
 * @param {number} atB
 */
export function angleBetween(a, atA, b, atB) {
  let sum = 0;
  for (let n = 0; n < 11; n++) if (n % 4 !== 3) sum += (a[atA + n] - b[atB + n]) ** 2;
  return 2 * Math.asin(Math.min(Math.sqrt(sum / 8), 1));
}
