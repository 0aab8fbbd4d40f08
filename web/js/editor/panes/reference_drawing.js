/**
 * The reference scene, drawn through any projection: what the lenses see, and the ground of the other panes.
 *
 * @import {Theme} from '../theme.js'
 * @import {Painter, Point} from './painter.js'
 */

import { BOXES, FACES, FLOOR, LIMBS, SUBJECT, corners, floorLines } from './reference_scene.js';

/**
 * @typedef {{fill: number, reach: number, step: number}} Floor  half the width of what is filled and of the grid, and how
 *   far its lines are apart, in world units
 */

/** Half the width of the floor that is filled, in world units. */
const FLOOR_REACH = 40;

/**
 * The floor, filled, with its grid.
 *
 * @param {Painter} painter
 * @param {Theme} theme
 * @param {Partial<Floor>} [of]
 */
export function drawFloor(painter, theme, { fill = FLOOR_REACH, reach = 8, step = 0.5 } = {}) {
  const floor = /** @type {Point[]} */ (
    [
      [-1, -1],
      [1, -1],
      [1, 1],
      [-1, 1],
    ].map(([x, z]) => [x * fill, FLOOR, 1 + z * fill])
  );
  painter.polygon(floor, theme.floor);
  for (const line of floorLines(reach, step)) painter.line(line, theme.dark ? '#ffffff' : '#000000', { alpha: 0.1 });
}

/**
 * Boxes and the figure between them, those far away first.
 *
 * @param {Painter} painter
 * @param {ArrayLike<number>} eye  whence they are seen
 * @param {Theme} theme
 */
export function drawObjects(painter, eye, theme) {
  const far = (/** @type {Point} */ point) => Math.hypot(...point.map((value, i) => value - eye[i]));
  const figure = { center: SUBJECT, draw: () => drawFigure(painter, eye, theme) };
  const boxes = BOXES.map((box) => ({ center: box.center, draw: () => drawBox(painter, box, eye, theme) }));
  for (const { draw } of [...boxes, figure].sort((a, b) => far(b.center) - far(a.center))) draw();
}

/** @param {Painter} painter @param {typeof BOXES[number]} box @param {ArrayLike<number>} eye @param {Theme} theme */
function drawBox(painter, box, eye, theme) {
  drawShadow(painter, box.center, Math.max(box.size[0], box.size[2]) * 0.75, theme);
  const at = corners(box);
  for (const { around, axis, side, light } of FACES) {
    if (side * (eye[axis] - box.center[axis]) <= box.size[axis] / 2) continue;
    const face = around.map((i) => at[i]);
    const shade = Math.round((theme.dark ? 58 : 68) * light);
    painter.polygon(face, `hsl(${box.tint} 38% ${shade}%)`);
    painter.line(face, '#000000', { alpha: 0.25, closed: true });
  }
}

/** The mannequin; limbs that are further away first. */
function drawFigure(/** @type {Painter} */ painter, /** @type {ArrayLike<number>} */ eye, /** @type {Theme} */ theme) {
  drawShadow(painter, SUBJECT, 0.24, theme);
  const far = (/** @type {typeof LIMBS[number]} */ { from, to }) =>
    Math.hypot(...from.map((value, i) => (value + to[i]) / 2 - eye[i]));
  const tones = theme.dark ? ['#7d6a55', '#c9ab86', '#e6cfae'] : ['#8f7860', '#d4b791', '#efdcbf'];
  for (const { from, to, radius } of [...LIMBS].sort((a, b) => far(b) - far(a))) {
    painter.limb(from, to, radius, tones);
  }
}

/** A soft spot on the floor under something. */
function drawShadow(
  /** @type {Painter} */ painter,
  /** @type {Point} */ [x, , z],
  /** @type {number} */ radius,
  /** @type {Theme} */ theme,
) {
  for (const [size, dark] of [
    [1, 0.1],
    [0.75, 0.12],
  ]) {
    const around = Array.from({ length: 20 }, (_, i) => {
      const angle = (i / 20) * 2 * Math.PI;
      return /** @type {Point} */ ([x + Math.cos(angle) * radius * size, FLOOR, z + Math.sin(angle) * radius * size]);
    });
    painter.polygon(around, '#000000', dark * (theme.dark ? 1.6 : 0.8));
  }
}
