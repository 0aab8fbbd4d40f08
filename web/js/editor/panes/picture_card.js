/**
 * A flat picture in perspective, as triangles small enough to look right: the image that fills the first camera's picture
 * and stands one unit in front of it.
 *
 * @import {Picture, View} from './lens.js'
 * @import {Painter, Projected} from './painter.js'
 */

import { seenPoint } from './scene_drawing.js';
import { fitted } from './fitting.js';

const DISTANCE = 1;

/**
 * @param {Painter} painter
 * @param {Picture} image
 * @param {View} first  the view whose first camera it belongs to
 * @param {{aspect: number, cells: number}} of  width / height of the camera's picture; cells each way
 */
export function drawPicture(painter, image, first, { aspect, cells }) {
  const crop = fitted({ x: 0, y: 0, width: image.width, height: image.height }, aspect);
  const grid = Array.from({ length: (cells + 1) ** 2 }, (_, i) => {
    const [u, v] = [(i % (cells + 1)) / cells, Math.floor(i / (cells + 1)) / cells];
    const at = painter.projection.project(seenPoint(first.c2w, 0, first.intrinsics, 0, u, v, DISTANCE));
    return { ...at, u: crop.x + u * crop.width, v: crop.y + v * crop.height };
  });
  for (let row = 0; row < cells; row++) {
    for (let column = 0; column < cells; column++) {
      const i = row * (cells + 1) + column;
      const [a, b, c, d] = [grid[i], grid[i + 1], grid[i + cells + 1], grid[i + cells + 2]];
      drawTriangle(painter, image, a, b, c);
      drawTriangle(painter, image, d, c, b);
    }
  }
}

/** @typedef {Projected & {u: number, v: number}} Corner */

function drawTriangle(
  /** @type {Painter} */ { context, near },
  /** @type {CanvasImageSource} */ image,
  /** @type {Corner} */ a,
  /** @type {Corner} */ b,
  /** @type {Corner} */ c,
) {
  if (a.depth < near || b.depth < near || c.depth < near) return;
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
