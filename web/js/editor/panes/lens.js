/**
 * The picture a camera would take: of the reference scene, or of an image that fills the first camera's picture and
 * stands one unit in front of it.
 */

import { Painter } from './painter.js';
import { drawPicture } from './picture_card.js';
import { drawFloor, drawObjects } from './reference_drawing.js';

/**
 * @typedef {import('../theme.js').Theme} Theme
 * @typedef {{c2w: ArrayLike<number>, intrinsics: ArrayLike<number>, color: string}} View
 * @typedef {import('./fitting.js').Box} Box
 * @typedef {CanvasImageSource & {width: number, height: number}} Picture
 */

const NEAR = 0.02;
/** Width in pixels from which a picture is drawn in more detail. */
const LARGE = 220;

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

  /** Where the camera is. */
  get eye() {
    return [3, 7, 11].map((i) => this.c2w[this.at + i]);
  }

  /** Pixels per world unit. @param {number} depth */
  pixelsAt(depth) {
    return (this.fx * this.box.width) / depth;
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
 * @param {CanvasRenderingContext2D} context
 * @param {Box} box
 * @param {View} view
 * @param {number} f
 * @param {{theme: Theme, image: Picture | null, first: View}} of  `first`:
 *   the view whose first camera the image belongs to
 */
export function drawLens(context, box, view, f, { theme, image, first }) {
  const lens = new Lens(view, f, box);
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.width, box.height);
  context.clip();
  context.fillStyle = theme.sky[1];
  context.fillRect(box.x, box.y, box.width, box.height);
  const painter = new Painter(context, lens);
  if (image) {
    drawPicture(painter, image, first, { aspect: box.width / box.height, cells: box.width > LARGE ? 12 : 7 });
  } else {
    drawFloor(painter, theme, { step: box.width > LARGE ? 0.5 : 1 });
    drawObjects(painter, lens.eye, theme);
  }
  context.restore();
}
