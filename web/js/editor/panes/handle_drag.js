/**
 * What dragging a handle does to the document, and what to say of it before.
 *
 * @import {EditSession} from '../session/session.js'
 * @import {Handle, HandleKind} from './handles.js'
 * @import {Point} from './painter.js'
 */

import { distance, rotationAbout, subtract } from '../../trajectory/math.js';
import * as commands from '../session/commands.js';

/** @type {Record<HandleKind, string>} */
const TEXTS = {
  key: 'Keyframe: drag to move (Shift: one axis, Ctrl: snap); Shift+click to select several',
  end: 'End of the path: drag to turn the path into keyframes',
  target: 'Target: drag to aim all keyframes that share it (Alt: this one only)',
  aim: 'Where the camera looks: drag to turn it',
  roll: 'Up of the picture: drag to roll the camera',
  shift: 'Drag to move the whole path',
  turn: 'Drag to turn the whole path about its start',
  scale: 'Drag to scale the whole path about its start',
};

/** @param {EditSession} session @param {Handle} handle */
export function describeHandle(session, handle) {
  return `${session.built.views[handle.view].name}: ${TEXTS[handle.kind]}`;
}

/**
 * Take hold of a handle; a path that has no keyframes gets them.
 *
 * @param {EditSession} session
 * @param {Handle} handle
 * @returns {Handle}
 */
export function takeHold(session, handle) {
  if (handle.kind !== 'end') return handle;
  session.run(commands.bake, handle.view);
  const keys = session.document?.views?.[handle.view]?.keyframes?.length ?? 1;
  const key = handle.key < 0 ? keys - 1 : handle.key;
  session.select(handle.view, key);
  return { ...handle, kind: 'key', key };
}

/**
 * @param {EditSession} session
 * @param {Handle} handle
 * @param {Point} last  where it was dragged before
 * @param {Point} point  where it is dragged now
 * @param {boolean} alone  only what was taken, not what goes with it
 */
export function dragHandleTo(session, { kind, view, key, from, axis = 1 }, last, point, alone) {
  if (kind === 'key' && session.selection.others.length) session.run(commands.moveSelected, subtract(point, last));
  else if (kind === 'key') session.run(commands.moveKeyframe, view, key, point);
  else if (kind === 'target') session.run(commands.moveTarget, view, key, point, !alone);
  else if (kind === 'aim') session.run(commands.aimKeyframe, view, key, point);
  else if (kind === 'roll') session.run(commands.rollKeyframe, view, key, point);
  else if (kind === 'shift') session.run(commands.transformPath, view, { shift: subtract(point, last) });
  else if (kind === 'scale') {
    const [before, now] = [distance(last, from), distance(point, from)];
    if (before > 0 && now > 0) session.run(commands.transformPath, view, { factor: now / before });
  } else if (kind === 'turn') {
    const turned = angleAbout(axis, from, point) - angleAbout(axis, from, last);
    const along = /** @type {Point} */ ([0, 0, 0]).with(axis, 1);
    session.run(commands.transformPath, view, { rotation: rotationAbout(/** @type {Point} */ (along), turned) });
  }
}

/** Degrees about a world axis. @param {number} axis @param {Point} pivot @param {Point} point */
function angleAbout(axis, pivot, point) {
  const [i, j] = [(axis + 1) % 3, (axis + 2) % 3];
  return (Math.atan2(point[j] - pivot[j], point[i] - pivot[i]) * 180) / Math.PI;
}
