/**
 * Gestures in a pane, from the press to the release: dragging handles, drawing freehand, selecting with a rectangle,
 * turning and moving the pane's own camera, pinching.
 *
 * @import {EditSession} from '../session/session.js'
 * @import {Handle} from './handles.js'
 * @import {Point} from './painter.js'
 * @import {Pane} from './pane.js'
 */

import { add, subtract } from '../../trajectory/math.js';
import { follow, placeOn } from '../dom.js';
import * as commands from '../session/commands.js';
import { isSelected, selected } from '../session/selection.js';
import { dragHandleTo, takeHold } from './handle_drag.js';
import { keysWithin } from './handles.js';
import { centerOf } from './scene_drawing.js';

/** World units between the places that a drag snaps to. */
const SNAP = 0.05;

/**
 * Move what was taken along the plane through it that faces the pane. A press without a drag selects.
 *
 * @param {Pane} pane
 * @param {PointerEvent} event
 * @param {Handle} handle
 * @param {AbortSignal} signal
 * @param {() => void} done
 */
export function dragHandle(pane, event, handle, signal, done) {
  const { session, projection, canvas } = pane;
  const start = handle.point;
  const from = projection.unproject(...placeOn(event, canvas), start);
  const grouped = handle.kind === 'key' && isSelected(session.selection, handle);
  if (grouped) selectFirst(session, handle);
  else if (!event.shiftKey) session.select(handle.view, Math.max(handle.key, 0));
  let taken = handle;
  let last = start;
  let moved = false;
  canvas.style.cursor = 'grabbing';
  follow(event, {
    signal,
    move: (at) => {
      if (!moved && Math.hypot(at.clientX - event.clientX, at.clientY - event.clientY) < 3) return;
      if (!moved) {
        if (!grouped && event.shiftKey) session.select(handle.view, Math.max(handle.key, 0));
        session.beginGesture();
        taken = takeHold(session, handle);
        moved = true;
      }
      const shift = subtract(projection.unproject(...placeOn(at, canvas), start), from);
      if (at.shiftKey) keepLargest(shift);
      const point = add(start, shift);
      if (at.ctrlKey || at.metaKey) snap(point, shift);
      dragHandleTo(session, taken, last, point, at.altKey);
      last = point;
    },
    end: (at) => {
      if (moved) session.endGesture(at === null);
      else if (event.shiftKey && handle.kind === 'key') session.toggleSelected(handle);
      else if (grouped) session.select(handle.view, handle.key);
      canvas.style.cursor = 'default';
      done();
    },
  });
}

/** One of the selected keyframes becomes the one that fields act on. @param {EditSession} session @param {Handle} handle */
function selectFirst(session, { view, key }) {
  const others = selected(session.selection).filter((at) => at.view !== view || at.key !== key);
  session.select(view, key, others);
}

/** @param {Point} point @param {Point} shift  of it; axes it is not moved along are left alone */
function snap(point, shift) {
  point.forEach((value, i) => {
    if (shift[i]) point[i] = Math.round(value / SNAP) * SNAP;
  });
}

function keepLargest(/** @type {number[]} */ shift) {
  const most = Math.max(...shift.map(Math.abs));
  shift.forEach((value, i) => {
    if (Math.abs(value) < most) shift[i] = 0;
  });
}

/** A path drawn by hand, in the plane of the pane through where the view starts. */
export function drawStroke(
  /** @type {Pane} */ pane,
  /** @type {PointerEvent} */ event,
  /** @type {AbortSignal} */ signal,
  /** @type {() => void} */ done,
) {
  const { session, projection, canvas } = pane;
  const through = centerOf(session.built.views[session.selection.view].c2w, 0);
  const follows = (/** @type {PointerEvent} */ at) => {
    pane.stroke.push(projection.unproject(...placeOn(at, canvas), through));
    session.redraw();
  };
  pane.stroke = [];
  follows(event);
  follow(event, {
    signal,
    move: follows,
    end: (at) => {
      const stroke = pane.stroke;
      pane.stroke = [];
      if (at && stroke.length > 2) session.run(commands.drawFreehand, stroke);
      session.setTool('select');
      session.redraw();
      done();
    },
  });
}

/**
 * Select the keyframes within a rectangle, beside those that are selected.
 *
 * @param {Pane} pane
 * @param {PointerEvent} event
 * @param {AbortSignal} signal
 * @param {() => void} done
 */
export function drawMarquee(pane, event, signal, done) {
  const { session, canvas, projection, handles } = pane;
  const [x0, y0] = placeOn(event, canvas);
  follow(event, {
    signal,
    move: (at) => {
      const [x1, y1] = placeOn(at, canvas);
      pane.marquee = { x0, y0, x1, y1 };
      session.redraw();
    },
    end: (at) => {
      const [first, ...others] = at && pane.marquee ? keysWithin(handles, projection, pane.marquee) : [];
      pane.marquee = null;
      if (first) session.select(first.view, first.key, others);
      session.redraw();
      done();
    },
  });
}

/** Orbit or pan the pane's own camera. */
export function moveCamera(
  /** @type {Pane} */ pane,
  /** @type {PointerEvent} */ event,
  /** @type {AbortSignal} */ signal,
  /** @type {Map<number, [number, number]>} */ touches,
  /** @type {() => void} */ done,
) {
  const { projection, canvas } = pane;
  const orbits = pane.kind === 'free' && event.button === 0 && !event.shiftKey;
  let [x, y] = placeOn(event, canvas);
  follow(event, {
    signal,
    move: (at) => {
      const [nx, ny] = placeOn(at, canvas);
      if (touches.size < 2) {
        if (orbits) projection.orbit(nx - x, ny - y);
        else projection.pan(nx - x, ny - y);
        pane.look();
      }
      [x, y] = [nx, ny];
    },
    end: done,
  });
}

/** Two fingers: their middle pans, their distance zooms. */
export function pinch(
  /** @type {Pane} */ pane,
  /** @type {Map<number, [number, number]>} */ touches,
  /** @type {AbortSignal} */ signal,
) {
  const { projection, canvas } = pane;
  if (!projection) return;
  const measure = () => {
    const [a, b] = [...touches.values()];
    return { x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2, apart: Math.hypot(a[0] - b[0], a[1] - b[1]) || 1 };
  };
  let before = measure();
  const stop = new AbortController();
  const options = { signal: AbortSignal.any([stop.signal, signal]), capture: true };
  document.addEventListener(
    'pointermove',
    (event) => {
      if (!touches.has(event.pointerId)) return;
      touches.set(event.pointerId, placeOn(event, canvas));
      const now = measure();
      projection.pan(now.x - before.x, now.y - before.y);
      projection.zoomAt(now.x, now.y, now.apart / before.apart);
      before = now;
      pane.look();
    },
    options,
  );
  for (const kind of ['pointerup', 'pointercancel']) {
    document.addEventListener(
      kind,
      (event) => {
        touches.delete(/** @type {PointerEvent} */ (event).pointerId);
        if (touches.size < 2) stop.abort();
      },
      options,
    );
  }
}
