/**
 * Smooth camera paths through keyframes: rotations by slerp, positions by a cubic Hermite spline, focal lengths
 * geometrically. The mathematics is that of CameraPath in cvd_core/geometry/interpolation.py, where it is explained.
 */

import { TrajectoryError, show } from './messages.js';
import { interval, pchip } from './interpolation.js';
import {
  conjugate,
  matrixFromQuaternion,
  multiplyQuaternions,
  quaternionFromMatrix,
  quaternionFromVector,
  rotationOf,
  rotationVector,
  scale,
} from './math.js';

/** Radians per path length above which a stretch of path counts as a turn on the spot. */
const TURN_RATE = 20;
/** Intervals per segment in the table that inverts arc length. */
const INTERVALS = 64;
/** Gauss-Legendre quadrature with four nodes on [0, 1]. */
const NODES = [0.06943184420297371, 0.33000947820757187, 0.6699905217924281, 0.9305681557970262];
const WEIGHTS = [0.17392742256872679, 0.3260725774312732, 0.3260725774312732, 0.17392742256872679];

export class CameraPath {
  /** When the camera is at each keyframe. Without times of their own: the share of the arc length before it. */
  times;
  #poses;
  #logFocals;
  /** Where the spline's segments begin and end, and when the camera is there. */
  #knots;
  #clock;
  /** Cubic coefficients of x, y, z in the share of each segment: 12 numbers per segment. */
  #cubics;
  /**
   * Share of the arc length before each of the finely spaced knots.
   *
   * @type {{before: Float64Array, fine: Float64Array} | null}
   */
  #table = null;

  /**
   * @param {ArrayLike<number>[]} poses  camera-to-world, 16 numbers each; at least one
   * @param {ArrayLike<number>} focals  positive
   * @param {number[] | null} times  increasing; null for constant speed
   */
  constructor(poses, focals, times) {
    const n = poses.length;
    /** @type {number[]} of the keyframes that take time: not those that repeat their predecessor */
    let kept = Array.from({ length: n }, (_, k) => k);
    let knots = times ?? [0];
    const spot = new Uint8Array(Math.max(n - 1, 0));
    if (times) {
      if (times.some((time, k) => k > 0 && time <= times[k - 1])) {
        throw new TrajectoryError(`keyframe times are ${show(times)}; expected ${n} numbers that increase`);
      }
    } else {
      const steps = stepLengths(poses, focals, spot);
      const least = 1e-9 * steps.reduce((sum, step) => sum + step, 0);
      kept = kept.filter((k) => k === 0 || steps[k - 1] > least);
      let walked = 0;
      for (let k = 1; k < n; k++) {
        walked += steps[k - 1];
        if (steps[k - 1] > least) knots.push(walked);
      }
    }
    this.times = Float64Array.from(times ?? new Array(n).fill(0));
    const still = knots.length === 1;
    if (still) knots = [knots[0], knots[0] + 1];
    const used = still ? [0, 0] : kept;
    this.#poses = used.map((k) => poses[k]);
    this.#logFocals = used.map((k) => Math.log(focals[k]));
    this.#knots = this.#clock = Float64Array.from(knots);
    this.#cubics = splineThrough(this.#knots, this.#poses);
    if (times || still) return;
    this.#table = arcLengthTable(
      this.#cubics,
      this.#knots,
      kept.slice(1).map((k) => spot[k - 1]),
    );
    const { before } = this.#table;
    this.#clock = Float64Array.from(knots, (_, i) => before[i * INTERVALS]);
    for (let k = 0, i = -1; k < n; k++) {
      if (kept[i + 1] === k) i++;
      this.times[k] = this.#clock[i];
    }
  }

  /**
   * Put the pose at `time` into `out`; the camera rests before the first and after the last keyframe.
   *
   * @param {number} time
   * @param {{[index: number]: number}} out  16 numbers from `offset` on
   * @param {number} offset
   * @returns {number} focal length
   */
  at(time, out, offset) {
    const knots = this.#knots;
    const t = Math.min(Math.max(time, this.times[0]), this.times[this.times.length - 1]);
    const i = interval(this.#clock, t);
    const share = (t - this.#clock[i]) / (this.#clock[i + 1] - this.#clock[i]);

    const between = multiplyQuaternions(conjugate(this.#quaternion(i)), this.#quaternion(i + 1));
    const turn = quaternionFromVector(scale(rotationVector(between), share));
    const rotation = matrixFromQuaternion(multiplyQuaternions(this.#quaternion(i), turn));

    const place = this.#table ? pchip(this.#table.before, this.#table.fine, t) : t;
    const j = interval(knots, place);
    const s = Math.min(Math.max((place - knots[j]) / (knots[j + 1] - knots[j]), 0), 1);
    for (let axis = 0; axis < 3; axis++) {
      const at = offset + 4 * axis;
      const c = 12 * j + 4 * axis;
      out[at] = rotation[3 * axis];
      out[at + 1] = rotation[3 * axis + 1];
      out[at + 2] = rotation[3 * axis + 2];
      out[at + 3] = this.#cubics[c] + s * (this.#cubics[c + 1] + s * (this.#cubics[c + 2] + s * this.#cubics[c + 3]));
      out[offset + 12 + axis] = 0;
    }
    out[offset + 15] = 1;
    return Math.exp(this.#logFocals[i] + share * (this.#logFocals[i + 1] - this.#logFocals[i]));
  }

  #quaternion(/** @type {number} */ k) {
    return quaternionFromMatrix(rotationOf(this.#poses[k]));
  }
}

/**
 * Length of every step of a constant-speed path; steps that are turns or zooms on the spot are marked in `spot`.
 *
 * @param {ArrayLike<number>[]} poses
 * @param {ArrayLike<number>} focals
 * @param {Uint8Array} spot
 */
function stepLengths(poses, focals, spot) {
  const chords = new Float64Array(spot.length);
  const changes = new Float64Array(spot.length);
  for (let k = 0; k < spot.length; k++) {
    const [a, b] = [poses[k], poses[k + 1]];
    let moved = 0;
    let turned = 0;
    for (let row = 0; row < 12; row += 4) {
      moved += (b[row + 3] - a[row + 3]) ** 2;
      for (let column = 0; column < 3; column++) turned += (b[row + column] - a[row + column]) ** 2;
    }
    chords[k] = Math.sqrt(moved);
    const angle = 2 * Math.asin(Math.min(Math.sqrt(turned / 8), 1)); // the norm is sqrt(8) sin(angle / 2)
    changes[k] = Math.max(angle, Math.abs(Math.log(focals[k + 1]) - Math.log(focals[k])));
  }
  const whole = chords.reduce((sum, chord) => sum + chord, 0) || 1;
  return chords.map((chord, k) => {
    const change = changes[k] * whole;
    spot[k] = Number(chord * TURN_RATE <= change);
    return spot[k] ? change : chord;
  });
}

/**
 * C1 spline through the positions of `poses`: limited parabola tangents, parabolic ends that do not start backwards.
 *
 * @param {Float64Array} knots  at least two
 * @param {ArrayLike<number>[]} poses
 */
function splineThrough(knots, poses) {
  const last = knots.length - 1;
  const h = Float64Array.from({ length: last }, (_, k) => knots[k + 1] - knots[k]);
  const slopes = Array.from(h, (width, k) => [3, 7, 11].map((at) => (poses[k + 1][at] - poses[k][at]) / width));
  const tangents = [slopes[0], ...slopes];
  for (let k = 1; k < last; k++) {
    const before = h[k] * Math.min((10 * h[k - 1]) / h[k], 1) ** 2;
    const after = h[k - 1] * Math.min((10 * h[k]) / h[k - 1], 1) ** 2;
    const inner = slopes[k].map((slope, axis) => (before * slopes[k - 1][axis] + after * slope) / (before + after));
    tangents[k] = shortened(inner, 3 * Math.min(Math.hypot(...slopes[k - 1]), Math.hypot(...slopes[k])));
  }
  const end = (/** @type {number[]} */ slope, /** @type {number[]} */ inner) => {
    const limited = shortened(inner, 2 * Math.hypot(...slope));
    return slope.map((value, axis) => 2 * value - limited[axis]);
  };
  [tangents[0], tangents[last]] = [end(slopes[0], tangents[1]), end(slopes[last - 1], tangents[last - 1])];

  const cubics = new Float64Array(12 * last);
  for (let k = 0; k < last; k++) {
    for (let axis = 0; axis < 3; axis++) {
      const [from, way] = [poses[k][4 * axis + 3], slopes[k][axis] * h[k]];
      const [leave, arrive] = [tangents[k][axis] * h[k], tangents[k + 1][axis] * h[k]];
      cubics.set([from, leave, 3 * way - 2 * leave - arrive, leave + arrive - 2 * way], 12 * k + 4 * axis);
    }
  }
  return cubics;
}

/** @param {number[]} vector @param {number} limit @returns {number[]} it, scaled down to the limit if it is longer */
function shortened(vector, limit) {
  const size = Math.hypot(...vector);
  return size > limit ? vector.map((value) => value * (limit / size)) : vector;
}

/**
 * Share of the arc length (0 to 1) before each of the finely spaced knots, and those knots.
 *
 * @param {Float64Array} cubics
 * @param {Float64Array} knots
 * @param {ArrayLike<number>} spot  segments that are turns on the spot: there, time is what passes
 */
function arcLengthTable(cubics, knots, spot) {
  const segments = knots.length - 1;
  const before = new Float64Array(segments * INTERVALS + 1);
  const fine = new Float64Array(segments * INTERVALS + 1);
  let total = 0;
  for (let k = 0; k < segments; k++) {
    const width = knots[k + 1] - knots[k];
    const [x1, x2, x3] = [cubics[12 * k + 1], 2 * cubics[12 * k + 2], 3 * cubics[12 * k + 3]];
    const [y1, y2, y3] = [cubics[12 * k + 5], 2 * cubics[12 * k + 6], 3 * cubics[12 * k + 7]];
    const [z1, z2, z3] = [cubics[12 * k + 9], 2 * cubics[12 * k + 10], 3 * cubics[12 * k + 11]];
    for (let i = 0; i < INTERVALS; i++) {
      const at = k * INTERVALS + i;
      fine[at] = knots[k] + (width * i) / INTERVALS;
      before[at] = total;
      let sum = 0;
      for (let node = 0; node < 4; node++) {
        const s = (i + NODES[node]) / INTERVALS;
        const [x, y, z] = [x1 + s * (x2 + s * x3), y1 + s * (y2 + s * y3), z1 + s * (z2 + s * z3)];
        sum += WEIGHTS[node] * Math.sqrt(x * x + y * y + z * z);
      }
      total += spot[k] ? width / INTERVALS : sum / INTERVALS;
    }
  }
  fine[fine.length - 1] = knots[segments];
  before[before.length - 1] = total;
  return { before: before.map((length) => length / total), fine };
}
