/**
 * The world that paths are judged against: a floor, a figure at the point one unit ahead that rigs turn to, and boxes
 * around it. OpenCV axes (x right, y down, z forward), world units.
 */

/** @typedef {import('./painter.js').Point} Point */

/** y of the floor: half a unit below a camera that starts at the origin. */
export const FLOOR = 0.5;
/** Where the figure stands. @type {Point} */
export const SUBJECT = [0, 0, 1];

/** @type {{center: Point, size: Point, tint: number}[]} */
export const BOXES = [
  { center: [-0.95, 0.2, 1.9], size: [0.5, 0.6, 0.5], tint: 205 },
  { center: [1.05, 0.05, 2.3], size: [0.45, 0.9, 0.45], tint: 265 },
  { center: [0.62, 0.4, 0.75], size: [0.2, 0.2, 0.2], tint: 150 },
  { center: [-0.6, 0.42, 0.62], size: [0.16, 0.16, 0.16], tint: 340 },
  { center: [-0.15, 0.1, 3.6], size: [1.6, 0.8, 0.3], tint: 225 },
];

/** @param {number} x @param {number} y @param {number} z @returns {Point} */
const at = (x, y, z) => [SUBJECT[0] + x, y, SUBJECT[2] + z];

/**
 * A mannequin that faces the cameras: round limbs from joint to joint, each `radius` thick.
 *
 * @type {{from: Point, to: Point, radius: number}[]}
 */
export const LIMBS = [
  { from: at(-0.05, 0.24, 0), to: at(-0.06, 0.36, -0.012), radius: 0.036 },
  { from: at(-0.06, 0.36, -0.012), to: at(-0.065, 0.485, 0.005), radius: 0.027 },
  { from: at(0.05, 0.24, 0), to: at(0.06, 0.36, -0.012), radius: 0.036 },
  { from: at(0.06, 0.36, -0.012), to: at(0.065, 0.485, 0.005), radius: 0.027 },
  { from: at(-0.065, 0.485, 0.005), to: at(-0.07, 0.487, -0.05), radius: 0.015 },
  { from: at(0.065, 0.485, 0.005), to: at(0.07, 0.487, -0.05), radius: 0.015 },
  { from: at(-0.105, 0.045, 0), to: at(-0.145, 0.15, 0.012), radius: 0.023 },
  { from: at(-0.145, 0.15, 0.012), to: at(-0.155, 0.26, -0.02), radius: 0.018 },
  { from: at(0.105, 0.045, 0), to: at(0.145, 0.15, 0.012), radius: 0.023 },
  { from: at(0.145, 0.15, 0.012), to: at(0.155, 0.26, -0.02), radius: 0.018 },
  { from: at(0, 0.2, 0), to: at(0, 0.225, 0), radius: 0.072 },
  { from: at(0, 0.06, 0), to: at(0, 0.2, 0), radius: 0.06 },
  { from: at(-0.06, 0.055, 0), to: at(0.06, 0.055, 0), radius: 0.05 },
  { from: at(0, -0.03, 0), to: at(0, 0.03, 0), radius: 0.024 },
  { from: at(0, -0.11, -0.005), to: at(0, -0.075, -0.005), radius: 0.052 },
];

/** Corner i of a box: bit 0 is x, bit 1 y, bit 2 z. */
export function corners(/** @type {{center: Point, size: Point}} */ { center, size }) {
  return Array.from(
    { length: 8 },
    (_, i) => /** @type {Point} */ (center.map((middle, axis) => middle + size[axis] * ((i >> axis) & 1 ? 0.5 : -0.5))),
  );
}

/** Faces of a box as corner numbers in order around, with the axis and side they face and their part of the light. */
export const FACES = [
  { around: [0, 4, 6, 2], axis: 0, side: -1, light: 0.8 },
  { around: [1, 3, 7, 5], axis: 0, side: 1, light: 0.62 },
  { around: [0, 1, 5, 4], axis: 1, side: -1, light: 1 },
  { around: [2, 6, 7, 3], axis: 1, side: 1, light: 0.3 },
  { around: [0, 2, 3, 1], axis: 2, side: -1, light: 0.9 },
  { around: [4, 5, 7, 6], axis: 2, side: 1, light: 0.5 },
];

/**
 * Lines of the floor's grid.
 *
 * @param {number} [reach]  half its width
 * @param {number} [step]  between lines
 * @returns {[Point, Point][]}
 */
export function floorLines(reach = 4, step = 0.5) {
  /** @type {[Point, Point][]} */
  const lines = [];
  for (let i = -reach; i <= reach + 1e-9; i += step) {
    lines.push(
      [
        [i, FLOOR, 1 - reach],
        [i, FLOOR, 1 + reach],
      ],
      [
        [-reach, FLOOR, 1 + i],
        [reach, FLOOR, 1 + i],
      ],
    );
  }
  return lines;
}
