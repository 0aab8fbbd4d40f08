/**
 * What pointers do in a pane: drag handles, draw freehand, turn and move the pane's own camera, pinch.
 */

import { follow, placeOn } from '../dom.js';
import { centerOf } from './scene_drawing.js';
import { describeHandle, dragHandleTo, takeHold } from './handle_drag.js';
import { handleAt } from './handles.js';
import * as commands from '../session/commands.js';

/** Reach of a pointer in pixels. */
const GRAB = 9;
const GRAB_FINGER = 20;
const SNAP = 0.05;

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
    canvas.title = handle ? describeHandle(session, handle) : '';
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

/** @typedef {import('./pane.js').Pane} Pane */

/** Move what was taken along the plane through it that faces the pane. */
function dragHandle(
  /** @type {Pane} */ pane,
  /** @type {PointerEvent} */ event,
  /** @type {import('./handles.js').Handle} */ handle,
  /** @type {AbortSignal} */ signal,
  /** @type {() => void} */ done,
) {
  const { session, projection, canvas } = pane;
  const start = handle.point;
  const from = projection.unproject(...placeOn(event, canvas), start);
  session.select(handle.view, Math.max(handle.key, 0));
  let taken = handle;
  let moved = false;
  canvas.style.cursor = 'grabbing';
  follow(event, {
    signal,
    move: (at) => {
      if (!moved && Math.hypot(at.clientX - event.clientX, at.clientY - event.clientY) < 3) return;
      if (!moved) {
        session.beginGesture();
        taken = takeHold(session, handle);
        moved = true;
      }
      const to = projection.unproject(...placeOn(at, canvas), start);
      const shift = to.map((/** @type {number} */ value, /** @type {number} */ i) => value - from[i]);
      if (at.shiftKey) keepLargest(shift);
      const point = start.map((value, i) => value + shift[i]);
      if (at.ctrlKey || at.metaKey) {
        point.forEach((value, i) => {
          if (shift[i]) point[i] = Math.round(value / SNAP) * SNAP;
        });
      }
      dragHandleTo(session, taken, /** @type {[number, number, number]} */ (point), at.altKey);
    },
    end: (at) => {
      if (moved) session.endGesture(at === null);
      canvas.style.cursor = 'default';
      done();
    },
  });
}

function keepLargest(/** @type {number[]} */ shift) {
  const most = Math.max(...shift.map(Math.abs));
  shift.forEach((value, i) => {
    if (Math.abs(value) < most) shift[i] = 0;
  });
}

/** A path drawn by hand, in the plane of the pane through where the view starts. */
function drawStroke(
  /** @type {Pane} */ pane,
  /** @type {PointerEvent} */ event,
  /** @type {AbortSignal} */ signal,
  /** @type {() => void} */ done,
) {
  const { session, projection, canvas } = pane;
  const through = centerOf(session.built.views[session.selection.view].c2w, 0);
  const add = (/** @type {PointerEvent} */ at) => {
    pane.stroke.push(projection.unproject(...placeOn(at, canvas), through));
    session.redraw();
  };
  pane.stroke = [];
  add(event);
  follow(event, {
    signal,
    move: add,
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

/** Orbit or pan the pane's own camera. */
function moveCamera(
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
function pinch(
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

/** The frame of any view that is drawn nearest to a place, if one is near. */
function nearestFrame(/** @type {Pane} */ pane, /** @type {number} */ x, /** @type {number} */ y) {
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
