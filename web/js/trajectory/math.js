/**
 * Vectors, quaternions and matrices. Axes are OpenCV's: x right, y down, z forward; poses are camera-to-world.
 *
 * Quaternions are x, y, z, w. Rotations are 9 numbers, poses 16, row by row.
 *
 * @typedef {[number, number, number]} Vector
 * @typedef {[number, number, number, number]} Quaternion
 */

import { TrajectoryError, show } from './messages.js';

/** @type {Vector} */
export const RIGHT = [1, 0, 0];
/** @type {Vector} */
export const DOWN = [0, 1, 0];
/** @type {Vector} */
export const FORWARD = [0, 0, 1];

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b @returns {Vector} */
export const add = (a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b @returns {Vector} */
export const subtract = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
/** @param {ArrayLike<number>} a @param {number} s @returns {Vector} */
export const scale = (a, s) => [a[0] * s, a[1] * s, a[2] * s];
/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b @returns {Vector} */
export const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
/** @param {ArrayLike<number>} a */
export const length = (a) => Math.sqrt(dot(a, a));
/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
export const distance = (a, b) => length(subtract(a, b));
/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b @param {number} share @returns {Vector} */
export const mix = (a, b, share) => [
  a[0] + share * (b[0] - a[0]),
  a[1] + share * (b[1] - a[1]),
  a[2] + share * (b[2] - a[2]),
];
/** @param {ArrayLike<number>} a @returns {Vector} */
export const normalise = (a) => scale(a, 1 / length(a));

/**
 * Hamilton product: the rotation `b` first, then `a`.
 *
 * @param {Quaternion} a
 * @param {Quaternion} b
 * @returns {Quaternion}
 */
export function multiplyQuaternions(a, b) {
  return [
    a[3] * b[0] + b[3] * a[0] + a[1] * b[2] - a[2] * b[1],
    a[3] * b[1] + b[3] * a[1] + a[2] * b[0] - a[0] * b[2],
    a[3] * b[2] + b[3] * a[2] + a[0] * b[1] - a[1] * b[0],
    a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2],
  ];
}

/** @param {Quaternion} q  of length 1 @returns {Quaternion} */
export const conjugate = (q) => [-q[0], -q[1], -q[2], q[3]];

/** @param {ArrayLike<number>} q  of any length but zero @returns {Quaternion} */
export function normaliseQuaternion(q) {
  const norm = Math.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2 + q[3] ** 2);
  return [q[0] / norm, q[1] / norm, q[2] / norm, q[3] / norm];
}

/** The axis times the angle in radians, at most pi. @param {Quaternion} q  of length 1 @returns {Vector} */
export function rotationVector(q) {
  const sign = q[3] < 0 ? -1 : 1;
  const sine = length(q);
  const angle = 2 * Math.atan2(sine, sign * q[3]);
  const factor = angle <= 1e-3 ? 2 + angle ** 2 / 12 + (7 * angle ** 4) / 2880 : angle / Math.sin(angle / 2);
  return scale(q, sign * factor);
}

/** @param {ArrayLike<number>} vector  axis times angle in radians @returns {Quaternion} */
export function quaternionFromVector(vector) {
  const angle = length(vector);
  const factor = angle <= 1e-3 ? 0.5 - angle ** 2 / 48 + angle ** 4 / 3840 : Math.sin(angle / 2) / angle;
  return [factor * vector[0], factor * vector[1], factor * vector[2], Math.cos(angle / 2)];
}

/** @param {ArrayLike<number>} m  a rotation, 9 numbers @returns {Quaternion} */
export function quaternionFromMatrix(m) {
  const trace = m[0] + m[4] + m[8];
  const diagonal = [m[0], m[4], m[8], trace];
  const largest = diagonal.indexOf(Math.max(...diagonal));
  if (largest === 3) return normaliseQuaternion([m[7] - m[5], m[2] - m[6], m[3] - m[1], 1 + trace]);
  const [i, j, k] = [largest, (largest + 1) % 3, (largest + 2) % 3];
  const q = [0, 0, 0, m[3 * k + j] - m[3 * j + k]];
  q[i] = 1 - trace + 2 * m[4 * i];
  q[j] = m[3 * j + i] + m[3 * i + j];
  q[k] = m[3 * k + i] + m[3 * i + k];
  return normaliseQuaternion(q);
}

/** @param {Quaternion} q  of length 1 @returns {number[]} 9 numbers */
export function matrixFromQuaternion([x, y, z, w]) {
  return [
    x * x - y * y - z * z + w * w,
    2 * (x * y - z * w),
    2 * (x * z + y * w),
    2 * (x * y + z * w),
    -x * x + y * y - z * z + w * w,
    2 * (y * z - x * w),
    2 * (x * z - y * w),
    2 * (y * z + x * w),
    -x * x - y * y + z * z + w * w,
  ];
}

/**
 * Rotation about `axis`, of length 1, by `degrees`.
 *
 * @param {Vector} axis
 * @param {number} degrees
 * @returns {number[]}
 */
export function rotationAbout(axis, degrees) {
  return matrixFromQuaternion(quaternionFromVector(scale(axis, (degrees * Math.PI) / 180)));
}

/** @param {ArrayLike<number>} a  9 numbers @param {ArrayLike<number>} b @returns {number[]} */
export function multiplyRotations(a, b) {
  const out = new Array(9);
  for (let i = 0; i < 9; i += 3) {
    for (let j = 0; j < 3; j++) out[i + j] = a[i] * b[j] + a[i + 1] * b[3 + j] + a[i + 2] * b[6 + j];
  }
  return out;
}

/** @param {ArrayLike<number>} m  9 numbers @param {ArrayLike<number>} v @returns {Vector} */
export const rotate = (m, v) => [
  m[0] * v[0] + m[1] * v[1] + m[2] * v[2],
  m[3] * v[0] + m[4] * v[1] + m[5] * v[2],
  m[6] * v[0] + m[7] * v[1] + m[8] * v[2],
];

/** @param {ArrayLike<number>} m  9 numbers @returns {number[]} */
export const transpose = (m) => [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]];

/** @param {ArrayLike<number>} rotation  9 numbers @param {ArrayLike<number>} position @returns {number[]} 16 numbers */
export const pose = (rotation, position) => [
  rotation[0],
  rotation[1],
  rotation[2],
  position[0],
  rotation[3],
  rotation[4],
  rotation[5],
  position[1],
  rotation[6],
  rotation[7],
  rotation[8],
  position[2],
  0,
  0,
  0,
  1,
];

/** @param {ArrayLike<number>} m @param {number} [at]  where the pose starts @returns {Vector} */
export const positionOf = (m, at = 0) => [m[at + 3], m[at + 7], m[at + 11]];

/** @param {ArrayLike<number>} m @param {number} [at]  where the pose starts @returns {number[]} 9 numbers */
export const rotationOf = (m, at = 0) => [
  m[at],
  m[at + 1],
  m[at + 2],
  m[at + 4],
  m[at + 5],
  m[at + 6],
  m[at + 8],
  m[at + 9],
  m[at + 10],
];

/** @param {ArrayLike<number>} a  16 numbers @param {ArrayLike<number>} b @returns {number[]} */
export function multiplyPoses(a, b) {
  const rotation = rotationOf(a);
  return pose(multiplyRotations(rotation, rotationOf(b)), add(rotate(rotation, positionOf(b)), positionOf(a)));
}

/** @param {ArrayLike<number>} m  a pose @returns {number[]} its inverse */
export function invertPose(m) {
  const back = transpose(rotationOf(m));
  return pose(back, scale(rotate(back, positionOf(m)), -1));
}

/**
 * Rotation of an upright camera at `position` that looks at `target`.
 *
 * Upright: the x axis is horizontal. Straight up and straight down, where every camera is, it is the world's x.
 *
 * @param {ArrayLike<number>} position
 * @param {ArrayLike<number>} target
 * @returns {number[]} 9 numbers
 */
export function lookAt(position, target) {
  const away = subtract(target, position);
  const far = length(away);
  if (far === 0) throw new TrajectoryError(`a camera at ${show(Array.from(position))} cannot look at its own position`);
  const z = scale(away, 1 / far);
  let x = cross(DOWN, z);
  const level = length(x);
  x = level > 1e-9 ? scale(x, 1 / level) : RIGHT;
  const y = normalise(cross(z, x));
  return [x[0], y[0], z[0], x[1], y[1], z[1], x[2], y[2], z[2]];
}
