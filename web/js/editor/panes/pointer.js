/**
 * What pointers do in a pane: which gesture a press starts (gestures.js), what is under the pointer, the wheel.
 */

import { follow, placeOn } from '../dom.js';
import { t } from '../language.js';
import * as commands from '../session/commands.js';
import { drawMarquee, drawStroke, dragHandle, moveCamera, pinch } from './gestures.js';
import { describeHandle } from './handle_drag.js';
import { handleAt } from './handles.js';

/** Reach of a pointer in pixels. */
const GRAB = 9;
const GRAB_FINGER = 20;

/**
 * @param {import('./pane.js').Pane} pane
 * @param {AbortSignal} signal
 */
export function attachPointer(pane, signal) {
  const { canvas, session } = pane;
  /** Fingers on the canvas, for pinching. @type {Map<number, [number, number]>} */
  const touches = new Map();
  let busy = false;

  const find = (/** @type {PointerEvent | MouseEvent} */ event) => {
    if (!pane.projection || session.tool === 'draw') return null;
    const [x, y] = placeOn(event, canvas);
    const finger = 'pointerType' in event && event.pointerType === 'touch';
    return handleAt(pane.handles, pane.projection, x, y, finger ? GRAB_FINGER : GRAB, session.selection.view);
  };

  canvas.addEventListener('pointerdown', (event) => {
    if (event.button === 1) return; // the graph's own pan
    event.preventDefault();
    event.stopPropagation();
    pane.keys.focus({ preventScroll: true });
    if (event.pointerType === 'touch') touches.set(event.pointerId, placeOn(event, canvas));
    if (touches.size === 2) return pinch(pane, touches, signal);
    if (busy) return;
    busy = true;
    start(event);
  });

  const start = (/** @type {PointerEvent} */ event) => {
    const done = () => {
      busy = false;
      touches.delete(event.pointerId);
    };
    const handle = event.button === 0 ? find(event) : null;
    if (!pane.projection) return followSimply(event, done);
    if (handle) return dragHandle(pane, event, handle, signal, done);
    if (event.button === 0 && session.tool === 'draw') return drawStroke(pane, event, signal, done);
    if (event.button === 0 && event.shiftKey) return drawMarquee(pane, event, signal, done);
    moveCamera(pane, event, signal, touches, done);
  };

  const followSimply = (/** @type {PointerEvent} */ event, /** @type {() => void} */ done) =>
    follow(event, { signal, move: () => {}, end: done });

  canvas.addEventListener('pointermove', (event) => {
    if (touches.has(event.pointerId)) touches.set(event.pointerId, placeOn(event, canvas));
    if (busy) return;
    const handle = find(event);
    if (handle === pane.hover) return;
    pane.hover = handle;
    canvas.style.cursor = handle ? 'grab' : session.tool === 'draw' && pane.projection ? 'crosshair' : 'default';
    canvas.title = handle ? t(describeHandle(session, handle)) : '';
    session.redraw();
  });
  canvas.addEventListener('pointerleave', () => {
    if (!pane.hover) return;
    pane.hover = null;
    session.redraw();
  });
  canvas.addEventListener('contextmenu', (event) => {
    event.preventDefault();
    event.stopPropagation();
  });
  canvas.addEventListener('dblclick', (event) => {
    event.stopPropagation();
    if (!pane.projection || find(event)) return;
    const [x, y] = placeOn(event, canvas);
    const near = nearestFrame(pane, x, y);
    if (near) session.run(commands.addKeyframe, near.view, near.frame);
  });
  canvas.addEventListener(
    'wheel',
    (event) => {
      if (!pane.projection || !session.hasFocus()) return; // the graph's own zoom
      event.preventDefault();
      event.stopPropagation();
      const [x, y] = placeOn(event, canvas);
      pane.projection.zoomAt(x, y, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)));
      pane.look();
    },
    { passive: false },
  );
}

/** The frame of any view that is drawn nearest to a place, if one is near. */
function nearestFrame(/** @type {import('./pane.js').Pane} */ pane, /** @type {number} */ x, /** @type {number} */ y) {
  const { session, projection } = pane;
  /** @type {{view: number, frame: number} | null} */
  let best = null;
  let distance = 14;
  for (const [v, view] of session.built.views.entries()) {
    let last = null;
    for (let f = 0; f < session.frames; f++) {
      const at = projection.project([view.c2w[16 * f + 3], view.c2w[16 * f + 7], view.c2w[16 * f + 11]]);
      if (last) {
        const [dx, dy] = [at.x - last.x, at.y - last.y];
        const share = Math.min(Math.max(((x - last.x) * dx + (y - last.y) * dy) / (dx * dx + dy * dy || 1), 0), 1);
        const away = Math.hypot(last.x + share * dx - x, last.y + share * dy - y);
        if (away < distance) [distance, best] = [away, { view: v, frame: f - 1 + share }];
      }
      last = at;
    }
  }
  return best;
}
