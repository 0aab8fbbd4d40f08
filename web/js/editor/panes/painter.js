/**
 * Lines, shapes and labels given in world points, drawn on a 2D canvas through a projection.
 *
 * @typedef {[number, number, number]} Point
 * @typedef {{x: number, y: number, depth: number}} Projected  pixels, and the distance along the view
 * @typedef {{
 *   project: (point: ArrayLike<number>) => Projected, pixelsAt: (depth: number) => number, near?: number,
 * }} Projection  `pixelsAt`: per world unit; `near`: smallest depth that can be seen; a parallel projection has none
 */

export class Painter {
  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Projection} projection
   */
  constructor(context, projection) {
    this.context = context;
    this.projection = projection;
    this.near = projection.near ?? -Infinity;
  }

  /**
   * Where a point is, or null behind the camera.
   *
   * @param {ArrayLike<number>} point
   */
  place(point) {
    const at = this.projection.project(point);
    return at.depth >= this.near ? at : null;
  }

  /**
   * Add a polyline to the current path, cut where it passes behind the camera.
   *
   * @param {ArrayLike<number>[]} points
   * @param {boolean} [closed]
   */
  trace(points, closed = false) {
    const { context, projection, near } = this;
    const count = closed ? points.length + 1 : points.length;
    let before = null;
    let last = null;
    for (let i = 0; i < count; i++) {
      const point = points[i % points.length];
      const at = projection.project(point);
      if (before && last) {
        if (before.depth >= near && at.depth >= near) {
          context.lineTo(at.x, at.y);
        } else if (before.depth >= near || at.depth >= near) {
          const cut = this.#cut(last, before.depth, point, at.depth);
          if (before.depth >= near) context.lineTo(cut.x, cut.y);
          else {
            context.moveTo(cut.x, cut.y);
            context.lineTo(at.x, at.y);
          }
        }
      } else if (at.depth >= near) {
        context.moveTo(at.x, at.y);
      }
      before = at;
      last = point;
    }
  }

  /**
   * @param {ArrayLike<number>[]} points
   * @param {string} color
   * @param {{width?: number, alpha?: number, closed?: boolean, dash?: number[]}} [style]
   */
  line(points, color, { width = 1, alpha = 1, closed = false, dash } = {}) {
    const { context } = this;
    context.beginPath();
    this.trace(points, closed);
    context.globalAlpha = alpha;
    context.strokeStyle = color;
    context.lineWidth = width;
    if (dash) context.setLineDash(dash);
    context.stroke();
    if (dash) context.setLineDash([]);
    context.globalAlpha = 1;
  }

  /**
   * A flat shape, filled; cut at the camera's plane.
   *
   * @param {Point[]} points
   * @param {string} color
   * @param {number} [alpha]
   */
  polygon(points, color, alpha = 1) {
    const { context, projection, near } = this;
    const seen = points.map((point) => projection.project(point));
    context.beginPath();
    let started = false;
    const add = (/** @type {Projected} */ at) => {
      if (started) context.lineTo(at.x, at.y);
      else context.moveTo(at.x, at.y);
      started = true;
    };
    for (let i = 0; i < points.length; i++) {
      const j = (i + 1) % points.length;
      const [a, b] = [seen[i], seen[j]];
      if (a.depth >= near) add(a);
      if (a.depth >= near !== b.depth >= near) add(this.#cut(points[i], a.depth, points[j], b.depth));
    }
    if (!started) return;
    context.closePath();
    context.globalAlpha = alpha;
    context.fillStyle = color;
    context.fill();
    context.globalAlpha = 1;
  }

  /**
   * A round limb between two points, lit from above: three strokes, each narrower and lighter than the one before.
   *
   * @param {ArrayLike<number>} from
   * @param {ArrayLike<number>} to
   * @param {number} radius  world units
   * @param {string[]} tones
   */
  limb(from, to, radius, tones) {
    const [a, b] = [this.place(from), this.place(to)];
    if (!a || !b) return;
    const { context } = this;
    const width = 2 * radius * this.projection.pixelsAt((a.depth + b.depth) / 2);
    tones.forEach((tone, i) => {
      const aside = 0.14 * i * width;
      context.beginPath();
      context.moveTo(a.x - aside * 0.5, a.y - aside * 0.5);
      context.lineTo(b.x - aside * 0.5, b.y - aside * 0.5 + 0.01);
      context.strokeStyle = tone;
      context.lineWidth = width * (1 - 0.3 * i);
      context.stroke();
    });
  }

  /**
   * @param {ArrayLike<number>} point
   * @param {'disc' | 'ring' | 'diamond' | 'square' | 'cross'} shape
   * @param {{size: number, color: string, fill?: string, width?: number, alpha?: number}} style
   */
  mark(point, shape, { size, color, fill, width = 1.5, alpha = 1 }) {
    const at = this.place(point);
    if (!at) return;
    const { context } = this;
    const { x, y } = at;
    context.beginPath();
    if (shape === 'diamond') {
      context.moveTo(x, y - size);
      context.lineTo(x + size, y);
      context.lineTo(x, y + size);
      context.lineTo(x - size, y);
      context.closePath();
    } else if (shape === 'square') {
      context.rect(x - size, y - size, 2 * size, 2 * size);
    } else if (shape === 'cross') {
      context.moveTo(x - size, y);
      context.lineTo(x + size, y);
      context.moveTo(x, y - size);
      context.lineTo(x, y + size);
    } else {
      context.arc(x, y, size, 0, 2 * Math.PI);
    }
    context.globalAlpha = alpha;
    if (fill && shape !== 'cross') {
      context.fillStyle = fill;
      context.fill();
    }
    context.strokeStyle = color;
    context.lineWidth = width;
    context.stroke();
    context.globalAlpha = 1;
  }

  /**
   * @param {ArrayLike<number>} point
   * @param {string} text
   * @param {{color: string, halo?: string, dx?: number, dy?: number, align?: CanvasTextAlign}} style
   */
  label(point, text, { color, halo, dx = 0, dy = 0, align = 'center' }) {
    const at = this.place(point);
    if (!at) return;
    const { context } = this;
    context.textAlign = align;
    context.textBaseline = 'middle';
    if (halo) {
      context.lineJoin = 'round';
      context.strokeStyle = halo;
      context.lineWidth = 3;
      context.strokeText(text, at.x + dx, at.y + dy);
    }
    context.fillStyle = color;
    context.fillText(text, at.x + dx, at.y + dy);
  }

  /** Where the segment a b meets the near plane; the depth changes evenly along it. */
  #cut(
    /** @type {ArrayLike<number>} */ a,
    /** @type {number} */ depthA,
    /** @type {ArrayLike<number>} */ b,
    /** @type {number} */ depthB,
  ) {
    const t = (this.near - depthA) / (depthB - depthA);
    return this.projection.project([a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), a[2] + t * (b[2] - a[2])]);
  }
}
