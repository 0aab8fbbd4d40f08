/**
 * Easing curves, monotone interpolation, and the numbers everything else checks its input with.
 *
 * @typedef {import('./document.js').Easing} Easing
 */

import { TrajectoryError, show } from './messages.js';

/**
 * Monotone maps of [0, 1] onto itself, from the share of time gone by to the share of the way done.
 *
 * @type {Record<string, (u: number) => number>}
 */
export const EASINGS = {
  linear: (u) => u,
  'ease-in': (u) => u * u,
  'ease-out': (u) => u * (2 - u),
  'ease-in-out': (u) => u * u * (3 - 2 * u),
};

/**
 * The map from the share of time gone by to the share of the way done.
 *
 * Points are joined by a smooth curve from (0, 0) through all of them to (1, 1) that never goes back or overshoots.
 *
 * @param {Easing} easing
 * @returns {(u: number) => number}
 */
export function easingCurve(easing) {
  if (typeof easing === 'string') return pick('easing', easing, EASINGS);
  const times = easing.map((point) => point[0]);
  const ways = easing.map((point) => point[1]);
  const x = [0, ...times, 1];
  const y = [0, ...ways, 1];
  if (x.some((time, i) => i > 0 && time <= x[i - 1])) {
    throw new TrajectoryError(
      `the times of an easing curve are ${show(times)}; expected numbers that increase between 0 and 1`,
    );
  }
  if (y.some((way, i) => i > 0 && way < y[i - 1])) {
    throw new TrajectoryError(
      `the ways of an easing curve are ${show(ways)}; expected numbers from 0 to 1 that never decrease`,
    );
  }
  return (u) => pchip(x, y, u);
}

/**
 * When a monotone curve from 0 to 1 reaches `way`.
 *
 * @param {(u: number) => number} curve
 * @param {number} way
 */
export function inverse(curve, way) {
  let low = 0;
  let high = 1;
  for (let i = 0; i < 52 && high - low > 1e-12; i++) {
    const middle = (low + high) / 2;
    if (curve(middle) < way) low = middle;
    else high = middle;
  }
  return way <= 0 ? 0 : high;
}

/**
 * Shares of the way done at each frame: 0 at the first, 1 at the last; a single frame is the first.
 *
 * @param {number} frames
 * @param {Easing} [easing]
 * @returns {Float64Array}
 */
export function clipTimes(frames, easing = 'linear') {
  const curve = easingCurve(easing);
  const last = count('frames', frames) - 1;
  return Float64Array.from({ length: frames }, (_, f) => curve(f / (last || 1)));
}

/**
 * Piecewise cubic Hermite interpolation that keeps monotone data monotone (Fritsch and Butland 1984), at one place.
 *
 * @param {ArrayLike<number>} x  increasing, at least two
 * @param {ArrayLike<number>} y
 * @param {number} at
 */
export function pchip(x, y, at) {
  const i = interval(x, at);
  const h = x[i + 1] - x[i];
  const slope = (y[i + 1] - y[i]) / h;
  const s = (at - x[i]) / h;
  const d0 = pchipSlope(x, y, i);
  const d1 = pchipSlope(x, y, i + 1);
  return y[i] + h * s * (d0 + s * (3 * slope - 2 * d0 - d1 + s * (d0 + d1 - 2 * slope)));
}

/** @param {ArrayLike<number>} x @param {ArrayLike<number>} y @param {number} i */
function pchipSlope(x, y, i) {
  const last = x.length - 1;
  const slope = (/** @type {number} */ k) => (y[k + 1] - y[k]) / (x[k + 1] - x[k]);
  if (last === 1) return slope(0);
  if (i === 0 || i === last) {
    const [near, far] = i === 0 ? [0, 1] : [last - 1, last - 2];
    const [h0, h1] = [x[near + 1] - x[near], x[far + 1] - x[far]];
    const [m0, m1] = [slope(near), slope(far)];
    const end = ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1);
    if (Math.sign(end) !== Math.sign(m0)) return 0;
    return Math.sign(m0) !== Math.sign(m1) && Math.abs(end) > 3 * Math.abs(m0) ? 3 * m0 : end;
  }
  const [m0, m1] = [slope(i - 1), slope(i)];
  if (m0 === 0 || m1 === 0 || Math.sign(m0) !== Math.sign(m1)) return 0;
  const [h0, h1] = [x[i] - x[i - 1], x[i + 1] - x[i]];
  const [w0, w1] = [2 * h1 + h0, h1 + 2 * h0];
  return (w0 + w1) / (w0 / m0 + w1 / m1);
}

/**
 * The interval of increasing `x` that `at` lies in: the last whose start is not beyond it.
 *
 * @param {ArrayLike<number>} x
 * @param {number} at
 */
export function interval(x, at) {
  let low = 0;
  let high = x.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle] <= at) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * `choices[name]`, or an error that lists the choices.
 *
 * @template T
 * @param {string} kind
 * @param {string} name
 * @param {Record<string, T>} choices
 * @returns {T}
 */
export function pick(kind, name, choices) {
  if (!Object.hasOwn(choices, name)) {
    throw new TrajectoryError(`unknown ${kind} ${show(name)}; choose one of ${Object.keys(choices).join(', ')}`);
  }
  return choices[name];
}

/** @param {string} name @param {number} value @returns {number} it, if a whole number of at least 1 */
export function count(name, value) {
  if (!Number.isInteger(value) || value < 1) {
    throw new TrajectoryError(`${name} is ${show(value)}; expected a whole number of at least 1`);
  }
  return value;
}

/** @param {string} name @param {number} value @returns {number} it, if finite */
export function number(name, value) {
  if (!Number.isFinite(value)) throw new TrajectoryError(`${name} is ${show(value)}; expected a finite number`);
  return value;
}

/** @param {string} name @param {number} value @returns {number} it, if positive and finite */
export function positive(name, value) {
  if (!(value > 0 && value < Infinity)) {
    throw new TrajectoryError(`${name} is ${show(value)}; expected a positive number`);
  }
  return value;
}
