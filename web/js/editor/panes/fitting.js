/** @typedef {{x: number, y: number, width: number, height: number}} Box */

/**
 * The largest box of `aspect` = width / height within `room`.
 *
 * @param {Box} room
 * @param {number} aspect
 * @returns {Box}
 */
export function fitted(room, aspect) {
  const width = Math.min(room.width, room.height * aspect);
  const height = width / aspect;
  return { x: room.x + (room.width - width) / 2, y: room.y + (room.height - height) / 2, width, height };
}
