/**
 * The speed curve of a path: which share of the way is done at which share of the time, as points to drag. Where it is
 * steep the camera is fast.
 */

import { follow, h, keyboardSink, placeOn } from '../dom.js';
import { Surface } from '../surface.js';

/** @typedef {[number, number][]} Points  (time, way), strictly inside (0, 0) ... (1, 1) */

const PAD = 9;
const REACH = 10;
/** Least difference in time between neighbours. */
const APART = 0.01;
/** How far out of the graph a point is dragged to be taken away, in pixels. */
const AWAY = 30;

export class CurveGraph {
  #surface;
  /** @type {number | null} */
  #hover = null;

  /**
   * @param {{
   *   redraw: () => void, signal: AbortSignal,
   *   points: () => Points, way: (time: number) => number, color: () => string, enabled: () => boolean,
   *   change: (points: Points, final: boolean) => void,
   * }} host  `points` that can be dragged, `way` the curve
   */
  constructor(host) {
    this.host = host;
    this.canvas = /** @type {HTMLCanvasElement} */ (
      h('canvas', {
        title: 'Time to the right, way up. Double click adds a point; drag one away to remove it.',
      })
    );
    this.element = h('div', { class: 'cvd-curve' }, this.canvas, keyboardSink('Speed curve'));
    this.#surface = new Surface(this.canvas, host.redraw);
    this.#attach();
  }

  /** @param {import('../theme.js').Theme} theme */
  draw(theme) {
    const surface = this.#surface;
    if (!surface.begin(theme.background)) return;
    const { context } = surface;
    context.lineWidth = 1;
    for (let i = 0; i <= 4; i++) {
      context.strokeStyle = i % 4 ? theme.grid : theme.gridStrong;
      context.beginPath();
      context.moveTo(...this.#at(i / 4, 0));
      context.lineTo(...this.#at(i / 4, 1));
      context.moveTo(...this.#at(0, i / 4));
      context.lineTo(...this.#at(1, i / 4));
      context.stroke();
    }
    context.strokeStyle = theme.dim;
    context.setLineDash([3, 4]);
    context.beginPath();
    context.moveTo(...this.#at(0, 0));
    context.lineTo(...this.#at(1, 1));
    context.stroke();
    context.setLineDash([]);
    context.strokeStyle = this.host.color();
    context.lineWidth = 2;
    context.beginPath();
    const samples = 96;
    for (let i = 0; i <= samples; i++) context.lineTo(...this.#at(i / samples, this.host.way(i / samples)));
    context.stroke();
    this.host.points().forEach(([time, way], i) => {
      const [x, y] = this.#at(time, way);
      context.beginPath();
      context.arc(x, y, this.#hover === i ? 6.5 : 5, 0, 2 * Math.PI);
      context.fillStyle = this.host.color();
      context.fill();
      context.strokeStyle = theme.text;
      context.lineWidth = 1.5;
      context.stroke();
    });
    context.fillStyle = theme.dim;
    context.textAlign = 'left';
    context.textBaseline = 'top';
    context.fillText('way', ...this.#at(0.01, 0.98));
    context.textAlign = 'right';
    context.textBaseline = 'bottom';
    context.fillText('time', ...this.#at(0.99, 0.02));
  }

  destroy() {
    this.#surface.destroy();
  }

  /** @returns {[number, number]} */
  #at(/** @type {number} */ time, /** @type {number} */ way) {
    const { width, height } = this.#surface;
    return [PAD + time * (width - 2 * PAD), height - PAD - way * (height - 2 * PAD)];
  }

  #pointAt(/** @type {number} */ x, /** @type {number} */ y) {
    const places = this.host.points().map(([time, way]) => this.#at(time, way));
    const found = places.findIndex(([px, py]) => Math.hypot(px - x, py - y) < REACH);
    return found < 0 ? null : found;
  }

  /** Time and way under a place, between the neighbours of point `i`. @returns {[number, number]} */
  #between(/** @type {Points} */ points, /** @type {number} */ i, /** @type {number} */ x, /** @type {number} */ y) {
    const { width, height } = this.#surface;
    const [time0, way0] = points[i - 1] ?? [0, 0];
    const [time1, way1] = points[i + 1] ?? [1, 1];
    const time = (x - PAD) / (width - 2 * PAD);
    const way = (height - PAD - y) / (height - 2 * PAD);
    const round = (/** @type {number} */ value) => Math.round(value * 1000) / 1000;
    return [round(Math.min(Math.max(time, time0 + APART), time1 - APART)), round(Math.min(Math.max(way, way0), way1))];
  }

  #attach() {
    const { canvas, host } = this;
    canvas.addEventListener('pointerdown', (event) => {
      if (event.button !== 0 || !host.enabled()) return;
      event.preventDefault();
      event.stopPropagation();
      /** @type {HTMLElement} */ (canvas.nextElementSibling).focus({ preventScroll: true });
      const found = this.#pointAt(...placeOn(event, canvas));
      if (found === null) return;
      const points = host.points();
      let now = points;
      follow(event, {
        signal: host.signal,
        move: (at) => {
          const [x, y] = placeOn(at, canvas);
          const out = x < -AWAY || y < -AWAY || x > this.#surface.width + AWAY || y > this.#surface.height + AWAY;
          now = out
            ? points.filter((_, i) => i !== found)
            : points.map((point, i) => (i === found ? this.#between(points, i, x, y) : point));
          host.change(now, false);
        },
        end: () => {
          if (now !== points) host.change(now, true);
        },
      });
    });
    canvas.addEventListener('pointermove', (event) => {
      const found = this.#pointAt(...placeOn(event, canvas));
      if (found === this.#hover) return;
      this.#hover = found;
      canvas.style.cursor = found === null ? 'default' : 'grab';
      host.redraw();
    });
    canvas.addEventListener('dblclick', (event) => {
      event.stopPropagation();
      if (!host.enabled()) return;
      const [x, y] = placeOn(event, canvas);
      const points = host.points();
      const found = this.#pointAt(x, y);
      if (found !== null) {
        return host.change(
          points.filter((_, i) => i !== found),
          true,
        );
      }
      const { width } = this.#surface;
      const time = (x - PAD) / (width - 2 * PAD);
      const i = points.findIndex((point) => point[0] > time);
      const at = i < 0 ? points.length : i;
      const more = /** @type {Points} */ ([...points.slice(0, at), [time, host.way(time)], ...points.slice(at)]);
      more[at] = this.#between(more, at, x, y);
      host.change(more, true);
    });
  }
}
