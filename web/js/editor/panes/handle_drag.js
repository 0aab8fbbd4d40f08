/**
 * What dragging a handle does to the document, and what to say of it before.
 *
 * @import {EditSession} from '../session/session.js'
 * @import {Handle, HandleKind} from './handles.js'
 * @import {Point} from './painter.js'
 */

import * as commands from '../session/commands.js';

/** @type {Record<HandleKind, string>} */
const TEXTS = {
  key: 'Keyframe: drag to move (Shift: one axis, Ctrl: snap)',
  end: 'End of the path: drag to turn the path into keyframes',
  target: 'Target: drag to aim (Alt: this keyframe only)',
  aim: 'Where the camera looks: drag to turn it',
  roll: 'Up of the picture: drag to roll the camera',
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
 * @param {Point} point
 * @param {boolean} alone  only what was taken, not what goes with it
 */
export function dragHandleTo(session, { kind, view, key }, point, alone) {
  if (kind === 'key') session.run(commands.moveKeyframe, view, key, point);
  else if (kind === 'target') session.run(commands.moveTarget, view, key, point, !alone);
  else if (kind === 'aim') session.run(commands.aimKeyframe, view, key, point);
  else if (kind === 'roll') session.run(commands.rollKeyframe, view, key, point);
}
