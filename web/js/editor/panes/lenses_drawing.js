/**
 * What the views' cameras see, side by side.
 *
 * @import {EditSession} from '../session/session.js'
 * @import {Surface} from '../surface.js'
 * @import {Theme} from '../theme.js'
 */

import { fitted } from './fitting.js';
import { drawLens } from './lens.js';

/**
 * @param {Surface} surface
 * @param {EditSession} session
 * @param {Theme} theme
 * @param {boolean} all  views, or only the selected one
 */
export function drawLenses({ width, height, context }, session, theme, all) {
  const { built, selection, settings, frame } = session;
  const shown = all ? built.views.map((_, v) => v) : [selection.view];
  const aspect = settings.width / settings.height;
  const room = { x: 4, y: 26, width: width - 8, height: height - 30 };
  const columns = bestColumns(shown.length, room.width / room.height / aspect);
  const rows = Math.ceil(shown.length / columns);
  const cell = { width: room.width / columns, height: room.height / rows };
  shown.forEach((v, i) => {
    const view = built.views[v];
    if (!view) return;
    const box = fitted(
      {
        x: room.x + (i % columns) * cell.width + 1,
        y: room.y + Math.floor(i / columns) * cell.height + 1,
        width: cell.width - 2,
        height: cell.height - 2,
      },
      aspect,
    );
    drawLens(context, box, view, frame, { theme, image: session.image, first: built.views[0] });
    context.strokeStyle = view.color;
    context.lineWidth = v === selection.view ? 2 : 1;
    context.strokeRect(box.x, box.y, box.width, box.height);
    context.textAlign = 'left';
    context.textBaseline = 'top';
    context.lineWidth = 3;
    context.strokeStyle = 'rgba(0, 0, 0, 0.65)';
    const name = view.name.slice(0, 18);
    context.strokeText(name, box.x + 5, box.y + 5);
    context.fillStyle = '#ffffff';
    context.fillText(name, box.x + 5, box.y + 5);
  });
}

/** Columns that show `count` pictures largest in a room `wide` pictures wide for each one high. */
function bestColumns(/** @type {number} */ count, /** @type {number} */ wide) {
  let best = 1;
  let size = 0;
  for (let columns = 1; columns <= count; columns++) {
    const scale = Math.min(wide / columns, 1 / Math.ceil(count / columns));
    if (scale > size + 1e-9) [best, size] = [columns, scale];
  }
  return best;
}
