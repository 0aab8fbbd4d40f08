/**
 * The picture a camera would take: of the reference scene, or of an image that fills the first camera's picture and
 * stands one unit in front of it.
 */

import { Painter } from './painter.js';
import { BOXES, FACES, corners, floorLines } from './reference_scene.js';
import { seenPoint } from './scene_drawing.js';

/**
 * @typedef {import('./painter.js').Point} Point
 * @typedef {import('../theme.js').Theme} Theme
 * @typedef {{c2w: ArrayLike<number>, intrinsics: ArrayLike<number>, color: string}} View
 * @typedef {{x: number, y: number, width: number, height: number}} Box
 */

const NEAR = 0.02;
const IMAGE_DISTANCE = 1;

/** A pinhole camera of a path as a projection into `box`. */
export class Lens {
  near = NEAR;

  /**
   * @param {View} view
   * @param {number} f
   * @param {Box} box
   */
  constructor(view, f, box) {
    this.c2w = view.c2w;
    this.at = 16 * f;
    this.fx = view.intrinsics[4 * f];
    this.fy = view.intrinsics[4 * f + 1];
    this.cx = view.intrinsics[4 * f + 2];
    this.cy = view.intrinsics[4 * f + 3];
    this.box = box;
  }

  /** @param {ArrayLike<number>} point */
  project(point) {
    const { c2w, at, box } = this;
    const [x, y, z] = [point[0] - c2w[at + 3], point[1] - c2w[at + 7], point[2] - c2w[at + 11]];
    const right = c2w[at] * x + c2w[at + 4] * y + c2w[at + 8] * z;
    const down = c2w[at + 1] * x + c2w[at + 5] * y + c2w[at + 9] * z;
    const depth = c2w[at + 2] * x + c2w[at + 6] * y + c2w[at + 10] * z;
    return {
      x: box.x + ((this.fx * right) / depth + this.cx) * box.width,
      y: box.y + ((this.fy * down) / depth + this.cy) * box.height,
      depth,
    };
  }
}

/**
 * The largest box of `aspect` = width / height within `room`.
 *
 * @param {Box} room
 * @param {number} aspect
 * @returns {Box}
 */
export function fitted(room, aspect) {
  const width = Math.min(room.width, room.height * aspect);
  const height = width / aspect;
  return { x: room.x + (room.width - width) / 2, y: room.y + (room.height - height) / 2, width, height };
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Box} box
 * @param {View} view
 * @param {number} f
 * @param {{theme: Theme, image: CanvasImageSource & {width: number, height: number} | null, first: View}} of  `first`:
 *   the view whose first camera the image belongs to
 */
export function drawLens(context, box, view, f, { theme, image, first }) {
  const lens = new Lens(view, f, box);
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.width, box.height);
  context.clip();
  context.fillStyle = theme.dark ? '#2b323c' : '#dfe6ee';
  context.fillRect(box.x, box.y, box.width, box.height);
  const painter = new Painter(context, lens);
  if (image) drawImagePlane(context, lens, image, first, box);
  else drawReference(painter, lens, theme);
  context.restore();
}

/** @param {Painter} painter @param {Lens} lens @param {Theme} theme */
function drawReference(painter, lens, theme) {
  const floor = /** @type {Point[]} */ ([
    [-40, 0.5, -40],
    [40, 0.5, -40],
    [40, 0.5, 40],
    [-40, 0.5, 40],
  ]);
  painter.polygon(floor, theme.dark ? '#3a3d42' : '#c9cbc8');
  for (const line of floorLines(8)) painter.line(line, theme.dark ? '#ffffff' : '#000000', { alpha: 0.13 });
  const eye = [3, 7, 11].map((i) => lens.c2w[lens.at + i]);
  const far = (/** @type {{center: Point}} */ { center }) => Math.hypot(...center.map((c, i) => c - eye[i]));
  for (const box of [...BOXES].sort((a, b) => far(b) - far(a))) {
    const at = corners(box);
    for (const { around, axis, side, light } of FACES) {
      if (side * (eye[axis] - box.center[axis]) <= box.size[axis] / 2) continue;
      const shade = Math.round((theme.dark ? 58 : 68) * light);
      painter.polygon(
        around.map((i) => at[i]),
        `hsl(${box.tint} 38% ${shade}%)`,
      );
      painter.line(
        around.map((i) => at[i]),
        '#000000',
        { alpha: 0.25, closed: true },
      );
    }
  }
}

/** A flat picture in perspective, as triangles small enough to look right. */
function drawImagePlane(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {Lens} */ lens,
  /** @type {CanvasImageSource & {width: number, height: number}} */ image,
  /** @type {View} */ first,
  /** @type {Box} */ box,
) {
  const cells = box.width > 220 ? 12 : 7;
  const crop = fitted({ x: 0, y: 0, width: image.width, height: image.height }, box.width / box.height);
  const grid = Array.from({ length: (cells + 1) ** 2 }, (_, i) => {
    const [u, v] = [(i % (cells + 1)) / cells, Math.floor(i / (cells + 1)) / cells];
    const at = lens.project(seenPoint(first.c2w, 0, first.intrinsics, 0, u, v, IMAGE_DISTANCE));
    return { ...at, u: crop.x + u * crop.width, v: crop.y + v * crop.height };
  });
  for (let row = 0; row < cells; row++) {
    for (let column = 0; column < cells; column++) {
      const i = row * (cells + 1) + column;
      const [a, b, c, d] = [grid[i], grid[i + 1], grid[i + cells + 1], grid[i + cells + 2]];
      drawTriangle(context, image, a, b, c);
      drawTriangle(context, image, d, c, b);
    }
  }
}

/** @typedef {{x: number, y: number, depth: number, u: number, v: number}} Corner */

function drawTriangle(
  /** @type {CanvasRenderingContext2D} */ context,
  /** @type {CanvasImageSource} */ image,
  /** @type {Corner} */ a,
  /** @type {Corner} */ b,
  /** @type {Corner} */ c,
) {
  if (a.depth < NEAR || b.depth < NEAR || c.depth < NEAR) return;
  const area = (b.u - a.u) * (c.v - a.v) - (c.u - a.u) * (b.v - a.v);
  if (!area) return;
  const slope = (/** @type {'x' | 'y'} */ of) => [
    ((b[of] - a[of]) * (c.v - a.v) - (c[of] - a[of]) * (b.v - a.v)) / area,
    ((c[of] - a[of]) * (b.u - a.u) - (b[of] - a[of]) * (c.u - a.u)) / area,
  ];
  const [xu, xv] = slope('x');
  const [yu, yv] = slope('y');
  const [mx, my] = [(a.x + b.x + c.x) / 3, (a.y + b.y + c.y) / 3];
  context.save();
  context.beginPath();
  for (const { x, y } of [a, b, c]) {
    const away = Math.hypot(x - mx, y - my) || 1; // half a pixel larger, so that no seam shows between neighbours
    context.lineTo(x + (0.6 * (x - mx)) / away, y + (0.6 * (y - my)) / away);
  }
  context.clip();
  context.transform(xu, yu, xv, yv, a.x - xu * a.u - xv * a.v, a.y - yu * a.u - yv * a.v);
  context.drawImage(image, 0, 0);
  context.restore();
}
