/**
 * What only the free pane shows: the sky, how far the floor goes, and which way the axes point.
 *
 * @import {Surface} from '../surface.js'
 * @import {Theme} from '../theme.js'
 * @import {FreeCamera} from '../../trajectory/projection.js'
 */

/** Pixels from the middle of the gizmo to the ends of its axes, and from the corner of the pane. */
const ARM = 18;
const CORNER = 28;
const AXES = [
  { name: 'x', direction: [1, 0, 0] },
  { name: 'y', direction: [0, 1, 0] },
  { name: 'z', direction: [0, 0, 1] },
];

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Surface} surface
 * @param {FreeCamera} camera
 * @param {Theme} theme
 */
export function drawSky(context, { width, height }, camera, theme) {
  const horizon = height / 2 - Math.tan(camera.pitch) * camera.focal;
  const gradient = context.createLinearGradient(0, Math.min(horizon - height, 0), 0, Math.max(horizon, 1));
  gradient.addColorStop(0, theme.sky[0]);
  gradient.addColorStop(1, theme.sky[1]);
  context.fillStyle = gradient;
  context.fillRect(0, 0, width, height);
}

/** A floor that is wide enough for paths whose cameras are drawn so large, its lines far enough apart to be seen. */
export function floorFor(/** @type {number} */ size) {
  const step = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((apart) => apart >= 1.5 * size) ?? 2000;
  return { fill: Math.max(40, 80 * step), reach: 16 * step, step };
}

/**
 * The world's axes in a corner, those that point away first.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {FreeCamera} camera
 * @param {Theme} theme
 * @param {number} height  of the pane
 */
export function drawGizmo(context, camera, theme, height) {
  const [cx, cy] = [CORNER, height - CORNER];
  const arms = AXES.map(({ name, direction }, i) => ({ name, color: theme.axes[i], ...camera.turned(direction) }));
  context.globalAlpha = 0.55;
  context.fillStyle = theme.background;
  context.beginPath();
  context.arc(cx, cy, CORNER - 4, 0, 2 * Math.PI);
  context.fill();
  context.globalAlpha = 1;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  for (const { name, color, x, y } of arms.sort((a, b) => b.away - a.away)) {
    context.strokeStyle = context.fillStyle = color;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(cx, cy);
    context.lineTo(cx + x * ARM, cy + y * ARM);
    context.stroke();
    context.beginPath();
    context.arc(cx + x * ARM, cy + y * ARM, 5.5, 0, 2 * Math.PI);
    context.fill();
    context.fillStyle = theme.background;
    context.fillText(name, cx + x * ARM, cy + y * ARM + 0.5);
  }
}
