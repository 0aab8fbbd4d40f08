/**
 * The world that paths are judged against: a floor, and boxes around the point one unit ahead that rigs turn to.
 * OpenCV axes (x right, y down, z forward), world units.
 */

/** @typedef {import('./painter.js').Point} Point */

export const FLOOR = 0.5;
/** y of the floor: half a unit below a camera that starts at the origin. */

/** @type {{center: Point, size: Point, tint: number}[]} */
export const BOXES = [
  { center: [0, 0.25, 1], size: [0.34, 0.5, 0.34], tint: 28 },
  { center: [0, -0.08, 1], size: [0.2, 0.16, 0.2], tint: 28 },
  { center: [-0.95, 0.2, 1.9], size: [0.5, 0.6, 0.5], tint: 205 },
  { center: [1.05, 0.05, 2.3], size: [0.45, 0.9, 0.45], tint: 265 },
  { center: [0.62, 0.4, 0.75], size: [0.2, 0.2, 0.2], tint: 150 },
  { center: [-0.6, 0.42, 0.62], size: [0.16, 0.16, 0.16], tint: 340 },
  { center: [-0.15, 0.1, 3.6], size: [1.6, 0.8, 0.3], tint: 225 },
];

/** Corner i of a box: bit 0 is x, bit 1 y, bit 2 z. */
export function corners(/** @type {{center: Point, size: Point}} */ { center, size }) {
  return Array.from(
    { length: 8 },
    (_, i) => /** @type {Point} */ (center.map((middle, axis) => middle + size[axis] * ((i >> axis) & 1 ? 0.5 : -0.5))),
  );
}

/** Faces of a box as corner numbers in order around, with the axis and side they face and their share of the light. */
export const FACES = [
  { around: [0, 4, 6, 2], axis: 0, side: -1, light: 0.8 },
  { around: [1, 3, 7, 5], axis: 0, side: 1, light: 0.62 },
  { around: [0, 1, 5, 4], axis: 1, side: -1, light: 1 },
  { around: [2, 6, 7, 3], axis: 1, side: 1, light: 0.3 },
  { around: [0, 2, 3, 1], axis: 2, side: -1, light: 0.9 },
  { around: [4, 5, 7, 6], axis: 2, side: 1, light: 0.5 },
];

/** Edges of a box as pairs of corner numbers. */
export const EDGES = [
  [0, 1],
  [2, 3],
  [4, 5],
  [6, 7],
  [0, 2],
  [1, 3],
  [4, 6],
  [5, 7],
  [0, 4],
  [1, 5],
  [2, 6],
  [3, 7],
];

/**
 * Lines of the floor's grid, one unit apart every `step`.
 *
 * @param {number} [reach]  half its width
 * @param {number} [step]
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
