/**
 * The parts of a scene: grid, axes, paths, frusta, keyframes, targets.
 */

import { FLOOR } from './reference_scene.js';

/**
 * @typedef {import('./painter.js').Point} Point
 * @typedef {import('./painter.js').Painter} Painter
 * @typedef {import('../theme.js').Theme} Theme
 */

const MOST_DRAWN = 256;
/** Keyframes of a path closer than this, in pixels, are drawn as one. */
const CROWDED = 3;

/** Corners of a frustum's picture in order around, as shares of its width and height; the first two are its roof. */
const PICTURE = [
  [0, 0],
  [1, 0],
  [1, 1],
  [0, 1],
];

/**
 * The point that a camera at `c2w` (16 numbers from `offset`) sees at (u, v) in 0 ... 1, `depth` in front of it.
 *
 * @param {ArrayLike<number>} c2w
 * @param {number} offset
 * @param {ArrayLike<number>} intrinsics  fx, fy, cx, cy from `lens`
 * @param {number} lens
 * @param {number} u
 * @param {number} v
 * @param {number} depth
 * @returns {Point}
 */
export function seenPoint(c2w, offset, intrinsics, lens, u, v, depth) {
  const x = ((u - intrinsics[lens + 2]) / intrinsics[lens]) * depth;
  const y = ((v - intrinsics[lens + 3]) / intrinsics[lens + 1]) * depth;
  return /** @type {Point} */ (
    [0, 4, 8].map(
      (row) =>
        c2w[offset + row] * x + c2w[offset + row + 1] * y + c2w[offset + row + 2] * depth + c2w[offset + row + 3],
    )
  );
}

/**
 * Camera centre of frame `f`.
 *
 * @param {ArrayLike<number>} c2w
 * @param {number} f
 * @returns {Point}
 */
export function centerOf(c2w, f) {
  return [c2w[16 * f + 3], c2w[16 * f + 7], c2w[16 * f + 11]];
}

/** Frames that a path is drawn through: all, or evenly spread ones with the first and the last. */
export function drawnFrames(/** @type {number} */ frames) {
  const count = Math.min(frames, MOST_DRAWN);
  return Array.from({ length: count }, (_, i) => Math.round((i * (frames - 1)) / Math.max(count - 1, 1)));
}

/**
 * A grid over the whole of a parallel pane, and the floor as a line.
 *
 * @param {Painter} painter
 * @param {Theme} theme
 * @param {{axes: [number, number], low: Point, high: Point, pixels: number}} of  `axes` that lie in the pane, what it
 *   shows, and pixels per world unit
 */
export function drawGrid(painter, theme, { axes: [a, b], low, high, pixels }) {
  const step =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((size) => size * pixels >= 18) ??
    1000;
  for (const [along, across] of [
    [a, b],
    [b, a],
  ]) {
    const first = Math.ceil(low[along] / step);
    const last = Math.floor(high[along] / step);
    for (let i = first; i <= last; i++) {
      const from = /** @type {Point} */ ([0, 0, 0]);
      const to = /** @type {Point} */ ([0, 0, 0]);
      from[along] = to[along] = i * step;
      from[across] = low[across];
      to[across] = high[across];
      painter.line([from, to], i % 5 === 0 ? theme.gridStrong : theme.grid);
    }
  }
  if (a !== 1 && b !== 1) return;
  const floor = /** @type {Point[]} */ ([
    [0, FLOOR, 0],
    [0, FLOOR, 0],
  ]);
  const flat = a === 1 ? b : a;
  floor[0][flat] = low[flat];
  floor[1][flat] = high[flat];
  painter.line(floor, theme.dim, { alpha: 0.6 });
}

/**
 * The world's axes at its origin.
 *
 * @param {Painter} painter
 * @param {Theme} theme
 * @param {number} length
 */
export function drawAxes(painter, theme, length) {
  for (const axis of [0, 1, 2]) {
    const tip = /** @type {Point} */ ([0, 0, 0]);
    tip[axis] = length;
    painter.line([[0, 0, 0], tip], theme.axes[axis], { width: 1.5, alpha: 0.9 });
  }
}

/**
 * A camera as the pyramid that it sees; the thick edge is the upper side of its picture.
 *
 * @param {Painter} painter
 * @param {{c2w: ArrayLike<number>, intrinsics: ArrayLike<number>}} view
 * @param {number} f
 * @param {number} size  depth of the pyramid
 * @param {string} color
 * @param {{width?: number, alpha?: number, fill?: number, sides?: number, reach?: number}} [style]  opacity of the picture
 *   and of the pyramid's sides; how far its edges go on, palely
 */
export function drawFrustum(painter, view, f, size, color, style = {}) {
  const { width = 1, alpha = 1, fill = 0, sides = 0, reach = 0 } = style;
  const apex = centerOf(view.c2w, f);
  const cornersAt = (/** @type {number} */ depth) =>
    PICTURE.map(([u, v]) => seenPoint(view.c2w, 16 * f, view.intrinsics, 4 * f, u, v, depth));
  const at = cornersAt(size);
  if (reach > size) {
    const far = cornersAt(reach);
    at.forEach((corner, i) => painter.line([corner, far[i]], color, { alpha: 0.22 * alpha, dash: [4, 4] }));
    painter.line(far, color, { alpha: 0.28 * alpha, closed: true, dash: [4, 4] });
  }
  if (sides) at.forEach((corner, i) => painter.polygon([apex, corner, at[(i + 1) % 4]], color, sides));
  if (fill) painter.polygon(at, color, fill);
  const { context } = painter;
  context.beginPath();
  painter.trace(at, true);
  for (const corner of at) painter.trace([apex, corner]);
  context.globalAlpha = alpha;
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke();
  context.globalAlpha = 1;
  painter.line([at[0], at[1]], color, { width: width + 1.5, alpha });
}

/**
 * The path of one view: line, a tick per frame, small pyramids where there is room for them.
 *
 * @param {Painter} painter
 * @param {{c2w: ArrayLike<number>, intrinsics: ArrayLike<number>, color: string}} view
 * @param {{frames: number, size: number, selected: boolean}} of
 */
export function drawPath(painter, view, { frames, size, selected }) {
  const drawn = drawnFrames(frames);
  const points = drawn.map((f) => centerOf(view.c2w, f));
  painter.line(points, view.color, { width: selected ? 2.5 : 1.5, alpha: selected ? 1 : 0.7 });
  let last = null;
  for (const [i, f] of drawn.entries()) {
    const at = painter.place(points[i]);
    if (!at) continue;
    const apart = last ? Math.hypot(at.x - last.x, at.y - last.y) : Infinity;
    if (apart < (selected ? 14 : 26)) continue;
    last = at;
    drawFrustum(painter, view, f, size * 0.6, view.color, { alpha: selected ? 0.55 : 0.28 });
  }
}

/**
 * Keyframes, ends, targets and aims as marks.
 *
 * @param {Painter} painter
 * @param {Theme} theme
 * @param {import('./handles.js').Handle[]} handles
 * @param {{selection: import('../session/selection.js').Selection, hover: import('./handles.js').Handle | null,
 *   colors: string[]}} of
 */
export function drawHandles(painter, theme, handles, { selection, hover, colors }) {
  const chosen = new Set([selection, ...selection.others].map((place) => `${place.view} ${place.key}`));
  const over = (/** @type {import('./handles.js').Handle} */ a) =>
    hover !== null && a.kind === hover.kind && a.view === hover.view && a.key === hover.key;
  /** @type {{view: number, x: number, y: number} | null} */
  let last = null;
  for (const handle of handles) {
    const { kind, view, key, point, from } = handle;
    const color = colors[view];
    const mine = view === selection.view;
    const taken = kind === 'key' && chosen.has(`${view} ${key}`);
    if (kind === 'key' && !taken) {
      const at = painter.place(point);
      if (!at || (last && last.view === view && Math.hypot(at.x - last.x, at.y - last.y) < CROWDED)) continue;
      last = { view, x: at.x, y: at.y };
    }
    const grow = over(handle) ? 1.5 : 0;
    if (kind === 'target') {
      painter.line([from, point], color, { alpha: 0.4, dash: [3, 3] });
      painter.mark(point, 'ring', { size: 6 + grow, color, width: 2, fill: theme.halo });
      painter.mark(point, 'cross', { size: 9 + grow, color });
    } else if (kind === 'shift' || kind === 'turn' || kind === 'scale') {
      painter.line([from, point], theme.text, { alpha: 0.7 });
      const shape = /** @type {const} */ ({ shift: 'square', turn: 'ring', scale: 'diamond' })[kind];
      painter.mark(point, shape, { size: 6 + grow, color: theme.text, fill: color, width: 2 });
    } else if (kind === 'aim' || kind === 'roll') {
      painter.line([from, point], color, { alpha: 0.8 });
      painter.mark(point, kind === 'aim' ? 'disc' : 'square', {
        size: (kind === 'aim' ? 5 : 3.5) + grow,
        color: theme.text,
        fill: color,
      });
    } else if (kind === 'end') {
      painter.mark(point, key === 0 ? 'ring' : 'square', {
        size: (mine ? 4.5 : 3.5) + grow,
        color,
        fill: theme.background,
        width: 2,
      });
    } else {
      painter.mark(point, 'diamond', {
        size: (taken ? 7 : mine ? 5.5 : 4) + grow,
        color: taken ? theme.text : color,
        fill: mine ? color : theme.background,
        width: taken ? 2 : 1.5,
      });
    }
  }
}
