/**
 * What a pane with a view of its own shows: the ground, the paths with their cameras, what can be taken hold of, names.
 *
 * @import {EditSession} from '../session/session.js'
 * @import {Surface} from '../surface.js'
 * @import {Theme} from '../theme.js'
 * @import {Ground} from './ground.js'
 * @import {Handle} from './handles.js'
 * @import {Point} from './painter.js'
 * @import {PlanView} from '../../trajectory/projection.js'
 */

import { FreeCamera } from '../../trajectory/projection.js';
import { drawGizmo, drawSky, floorFor } from './free_view.js';
import { Painter } from './painter.js';
import { drawPicture } from './picture_card.js';
import { drawFloor, drawObjects } from './reference_drawing.js';
import { centerOf, drawAxes, drawFrustum, drawGrid, drawHandles, drawPath } from './scene_drawing.js';

/**
 * @typedef {{x0: number, y0: number, x1: number, y1: number}} Marquee
 * @typedef {{
 *   size: number, ground: Ground, hover: Handle | null, stroke: Point[], marquee: Marquee | null, handles: Handle[],
 * }} Shown  `size`: of a camera, in world units
 */

/** How much of the reference scene the panes along the axes cover, for the paths to stand out. */
const VEIL = 0.6;

/**
 * @param {Surface} surface
 * @param {FreeCamera | PlanView} projection
 * @param {EditSession} session
 * @param {Theme} theme
 * @param {Shown} shown
 */
export function drawScene(surface, projection, session, theme, { size, ground, hover, stroke, marquee, handles }) {
  const painter = new Painter(surface.context, projection);
  const { built, selection } = session;
  const floor = floorFor(size);
  const seen = [projection, theme, projection instanceof FreeCamera && floor, session.image && cardOf(session)];
  ground.draw(surface, seen, session.image, (context) => {
    const under = new Painter(context, projection);
    if (projection instanceof FreeCamera) drawWorld(under, surface, projection, session, theme, floor);
    else drawPlane(under, surface, projection, session, theme);
  });
  drawAxes(painter, theme, size);
  drawViews(painter, session, size);
  const colors = built.views.map(({ color }) => color);
  drawHandles(painter, theme, handles, { selection, hover, colors });
  if (stroke.length > 1) painter.line(stroke, colors[selection.view] ?? theme.accent, { width: 3, dash: [2, 5] });
  drawNames(painter, session, theme);
  if (projection instanceof FreeCamera) drawGizmo(painter.context, projection, theme, surface.height);
  if (marquee) drawMarquee(painter.context, marquee, theme);
}

/** The ground of the free pane: a lit place with a figure in it, or the connected picture where it belongs. */
function drawWorld(
  /** @type {Painter} */ painter,
  /** @type {Surface} */ surface,
  /** @type {FreeCamera} */ projection,
  /** @type {EditSession} */ session,
  /** @type {Theme} */ theme,
  /** @type {import('./reference_drawing.js').Floor} */ floor,
) {
  drawSky(painter.context, surface, projection, theme);
  drawFloor(painter, theme, floor);
  if (session.image) drawCard(painter, session, theme);
  else drawObjects(painter, projection.position, theme);
}

/** Where the picture stands: before the first camera as it is in the first frame. @param {EditSession} session */
function cardOf({ built: { views }, settings }) {
  const [first] = views;
  return [[...first.c2w.subarray(0, 16)], [...first.intrinsics.subarray(0, 4)], settings.width / settings.height];
}

/** The picture as a card in front of the first camera. */
function drawCard(
  /** @type {Painter} */ painter,
  /** @type {EditSession} */ { image, built, settings },
  /** @type {Theme} */ theme,
  cells = 10,
) {
  if (!image) return;
  const [first] = built.views;
  drawPicture(painter, image, first, { aspect: settings.width / settings.height, cells });
  drawFrustum(painter, first, 0, 1, theme.dim, { alpha: 0.5 });
}

/** The ground of a pane along the axes: a grid, the reference scene or the picture pale in it. */
function drawPlane(
  /** @type {Painter} */ painter,
  /** @type {Surface} */ { width, height },
  /** @type {PlanView} */ projection,
  /** @type {EditSession} */ session,
  /** @type {Theme} */ theme,
) {
  painter.context.fillStyle = theme.background;
  painter.context.fillRect(0, 0, width, height);
  const one = projection.unproject(0, 0, [0, 0, 0]);
  const two = projection.unproject(width, height, [0, 0, 0]);
  const low = /** @type {Point} */ (one.map((value, i) => Math.min(value, two[i])));
  const high = /** @type {Point} */ (one.map((value, i) => Math.max(value, two[i])));
  if (session.image) drawCard(painter, session, theme, 4);
  else drawObjects(painter, projection.position, theme);
  painter.context.globalAlpha = VEIL;
  painter.context.fillStyle = theme.background;
  painter.context.fillRect(0, 0, width, height);
  painter.context.globalAlpha = 1;
  drawGrid(painter, theme, { axes: projection.axes, low, high, pixels: projection.scale });
}

/** All paths with their cameras at this frame, the selected view last. */
function drawViews(
  /** @type {Painter} */ painter,
  /** @type {EditSession} */ { built, selection, frames, frame },
  /** @type {number} */ size,
) {
  const views = built.views.map((view, v) => ({ view, chosen: v === selection.view }));
  const ordered = [...views.filter(({ chosen }) => !chosen), ...views.filter(({ chosen }) => chosen)];
  for (const { view, chosen } of ordered) drawPath(painter, view, { frames, size, selected: chosen });
  for (const { view, chosen } of ordered) {
    drawFrustum(painter, view, frame, size, view.color, {
      width: chosen ? 1.8 : 1.2,
      alpha: chosen ? 1 : 0.85,
      fill: chosen ? 0.3 : 0.14,
      sides: chosen ? 0.12 : 0.05,
      reach: chosen ? 1 : 0,
    });
  }
}

/** @param {CanvasRenderingContext2D} context @param {Marquee} marquee @param {Theme} theme */
function drawMarquee(context, { x0, y0, x1, y1 }, theme) {
  context.strokeStyle = context.fillStyle = theme.accent;
  context.lineWidth = 1;
  context.globalAlpha = 0.15;
  context.fillRect(x0, y0, x1 - x0, y1 - y0);
  context.globalAlpha = 1;
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
}

/** The views' names at the ends of their paths, the selected one first; one that would cover another is left out. */
function drawNames(/** @type {Painter} */ painter, /** @type {EditSession} */ session, /** @type {Theme} */ theme) {
  const { built, selection, frames } = session;
  /** @type {{x: number, y: number}[]} */
  const taken = [];
  const others = built.views.map((_, v) => v).filter((v) => v !== selection.view);
  for (const v of [selection.view, ...others]) {
    const view = built.views[v];
    const end = view && centerOf(view.c2w, frames - 1);
    const at = end && painter.place(end);
    if (!at || taken.some(({ x, y }) => Math.abs(x - at.x) < 44 && Math.abs(y - at.y) < 13)) continue;
    taken.push(at);
    painter.label(end, view.name.slice(0, 16), {
      color: v === selection.view ? view.color : theme.dim,
      halo: theme.halo,
      dy: -12,
    });
  }
}
