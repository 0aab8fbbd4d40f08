/**
 * How the editor's panes look at the world: along its axes, or from a free camera.
 *
 * Places in a pane are pixels from its upper left corner.
 *
 * @typedef {import('./math.js').Vector} Vector
 * @typedef {{x: number, y: number, depth: number}} Place  depth grows away from the viewer
 */

import { add, cross, distance, dot, scale, subtract } from './math.js';

/** Share of a pane that is left free around what is fitted into it. */
const MARGIN = 0.12;
/** World units that a pane shows at least. */
const SMALLEST = 0.05;
const LARGEST = 1e6;

class ParallelView {
  width = 1;
  height = 1;
  /** Pixels per world unit. */
  scale = 100;
  /** World point in the middle of the pane. @type {Vector} */
  middle = [0, 0, 0];

  /**
   * @param {[number, number]} axes  world axes to the right and along the height
   * @param {1 | -1} down  whether the second axis points down or up
   * @param {1 | -1} away  whether the third points away from the viewer or towards it
   */
  constructor(axes, down, away) {
    this.axes = axes;
    this.down = down;
    this.away = away;
  }

  /** @param {number} width @param {number} height */
  setSize(width, height) {
    this.width = Math.max(width, 1);
    this.height = Math.max(height, 1);
  }

  /** @param {ArrayLike<number>} point @returns {Place} */
  project(point) {
    const [a, b] = this.axes;
    return {
      x: this.width / 2 + (point[a] - this.middle[a]) * this.scale,
      y: this.height / 2 + (point[b] - this.middle[b]) * this.scale * this.down,
      depth: point[3 - a - b] * this.away,
    };
  }

  /** Pixels per world unit, at any depth. */
  pixelsAt() {
    return this.scale;
  }

  /** Whence the scene is seen: from far away. @returns {Vector} */
  get position() {
    const far = [...this.middle];
    far[3 - this.axes[0] - this.axes[1]] -= this.away * LARGEST;
    return /** @type {Vector} */ (far);
  }

  /**
   * The world point at a place, in the plane through `through` that faces the pane.
   *
   * @param {number} x
   * @param {number} y
   * @param {ArrayLike<number>} through
   * @returns {Vector}
   */
  unproject(x, y, through) {
    const [a, b] = this.axes;
    /** @type {Vector} */
    const point = [through[0], through[1], through[2]];
    point[a] = this.middle[a] + (x - this.width / 2) / this.scale;
    point[b] = this.middle[b] + ((y - this.height / 2) / this.scale) * this.down;
    return point;
  }

  /** Move the world with the pointer. @param {number} dx @param {number} dy  pixels */
  pan(dx, dy) {
    const [a, b] = this.axes;
    this.middle[a] -= dx / this.scale;
    this.middle[b] -= (dy / this.scale) * this.down;
  }

  /** Enlarge about a place, which stays. @param {number} x @param {number} y @param {number} factor */
  zoomAt(x, y, factor) {
    const before = this.unproject(x, y, this.middle);
    const pane = Math.min(this.width, this.height);
    this.scale = Math.min(Math.max(this.scale * factor, pane / LARGEST), pane / SMALLEST);
    const after = this.unproject(x, y, this.middle);
    this.middle = add(this.middle, subtract(before, after));
  }

  /** Show all points. @param {ArrayLike<number>[]} points @param {number} [top]  pixels that are kept free above */
  fit(points, top = 0) {
    const { low, high } = bounds(points);
    const [a, b] = this.axes;
    this.middle = scale(add(low, high), 0.5);
    const room = 1 - 2 * MARGIN;
    const free = top < this.height / 2 ? top : 0;
    this.scale = Math.min(
      (this.width * room) / Math.max(high[a] - low[a], SMALLEST),
      ((this.height - free) * room) / Math.max(high[b] - low[b], SMALLEST),
    );
    this.middle[b] -= (free / 2 / this.scale) * this.down;
  }
}

/** From above: x to the right, z up. */
export class PlanView extends ParallelView {
  constructor() {
    super([0, 2], -1, 1);
  }
}

/** From the right: z to the right, y down. */
export class SideView extends ParallelView {
  constructor() {
    super([2, 1], 1, -1);
  }
}

/** From behind the cameras: x to the right, y down. */
export class FrontView extends ParallelView {
  constructor() {
    super([0, 1], 1, 1);
  }
}

/** An upright perspective camera that turns about a point. */
export class FreeCamera {
  width = 1;
  height = 1;
  /** The point it looks at and turns about. @type {Vector} */
  target = [0, 0, 0.5];
  /** Radians: to the right, and down. */
  yaw = -0.6;
  pitch = 0.45;
  distance = 3;
  /** Vertical field of view in radians. */
  view = 0.7;
  /** World axes that a turn about the upright one moves along. @type {[number, number]} */
  axes = [0, 2];

  /**
   * The axes as they were last asked for.
   *
   * @type {{yaw: number, pitch: number, right: Vector, down: Vector, forward: Vector} | null}
   */
  #turned = null;

  /** Smallest depth that can be seen. */
  get near() {
    return this.distance * 0.01;
  }

  /** Pixels per world unit. @param {number} depth */
  pixelsAt(depth) {
    return this.focal / depth;
  }

  /** Where a world direction points in the pane, and away from the viewer. @param {ArrayLike<number>} direction */
  turned(direction) {
    const { right, down, forward } = this.#axes();
    return { x: dot(direction, right), y: dot(direction, down), away: dot(direction, forward) };
  }

  /** Focal length in pixels. */
  get focal() {
    return this.height / 2 / Math.tan(this.view / 2);
  }

  /** @returns {Vector} where the camera is */
  get position() {
    return subtract(this.target, scale(this.#forward(), this.distance));
  }

  /** @param {number} width @param {number} height */
  setSize(width, height) {
    this.width = Math.max(width, 1);
    this.height = Math.max(height, 1);
  }

  /**
   * Points behind the camera have a depth below `near`, and a place that means nothing.
   *
   * @param {ArrayLike<number>} point
   * @returns {Place}
   */
  project(point) {
    const { right, down, forward } = this.#axes();
    const away = subtract(point, this.target);
    const depth = dot(away, forward) + this.distance;
    const size = this.focal / (Math.abs(depth) < 1e-9 ? 1e-9 : depth);
    return { x: this.width / 2 + dot(away, right) * size, y: this.height / 2 + dot(away, down) * size, depth };
  }

  /**
   * The world point at a place, in the plane through `through` that faces the pane.
   *
   * @param {number} x
   * @param {number} y
   * @param {ArrayLike<number>} through
   * @returns {Vector}
   */
  unproject(x, y, through) {
    const { right, down, forward } = this.#axes();
    const depth = Math.max(dot(subtract(through, this.position), forward), this.near);
    const size = depth / this.focal;
    const across = add(scale(right, (x - this.width / 2) * size), scale(down, (y - this.height / 2) * size));
    return add(this.position, add(across, scale(forward, depth)));
  }

  /** Turn the world with the pointer. @param {number} dx @param {number} dy  pixels */
  orbit(dx, dy) {
    this.yaw += dx * 0.008;
    this.pitch = Math.min(Math.max(this.pitch + dy * 0.008, -1.55), 1.55);
  }

  /** Move the world with the pointer. @param {number} dx @param {number} dy  pixels */
  pan(dx, dy) {
    const { right, down } = this.#axes();
    const size = this.distance / this.focal;
    this.target = subtract(this.target, add(scale(right, dx * size), scale(down, dy * size)));
  }

  /**
   * Come nearer by `factor`, towards a place, which stays.
   *
   * @param {number} x
   * @param {number} y
   * @param {number} factor
   */
  zoomAt(x, y, factor) {
    const before = this.unproject(x, y, this.target);
    this.distance = Math.min(Math.max(this.distance / factor, SMALLEST), LARGEST);
    const after = this.unproject(x, y, this.target);
    this.target = add(this.target, subtract(before, after));
  }

  /** Show all points. @param {ArrayLike<number>[]} points */
  fit(points) {
    const { low, high } = bounds(points);
    this.target = scale(add(low, high), 0.5);
    const radius = Math.max(...points.map((point) => distance(point, this.target)), SMALLEST);
    const narrowest = Math.atan((Math.tan(this.view / 2) * Math.min(this.width, this.height)) / this.height);
    this.distance = radius / Math.sin(narrowest) / (1 - MARGIN);
  }

  /** @returns {Vector} */
  #forward() {
    const level = Math.cos(this.pitch);
    return [Math.sin(this.yaw) * level, Math.sin(this.pitch), Math.cos(this.yaw) * level];
  }

  #axes() {
    const { yaw, pitch } = this;
    if (this.#turned?.yaw !== yaw || this.#turned.pitch !== pitch) {
      const right = /** @type {Vector} */ ([Math.cos(yaw), 0, -Math.sin(yaw)]);
      const forward = this.#forward();
      this.#turned = { yaw, pitch, right, forward, down: cross(forward, right) };
    }
    return this.#turned;
  }
}

/** @param {ArrayLike<number>[]} points */
function bounds(points) {
  /** @type {Vector} */
  const low = [Infinity, Infinity, Infinity];
  /** @type {Vector} */
  const high = [-Infinity, -Infinity, -Infinity];
  for (const point of points) {
    for (let axis = 0; axis < 3; axis++) {
      low[axis] = Math.min(low[axis], point[axis]);
      high[axis] = Math.max(high[axis], point[axis]);
    }
  }
  return points.length
    ? { low, high }
    : { low: /** @type {Vector} */ ([0, 0, 0]), high: /** @type {Vector} */ ([0, 0, 0]) };
}
