/** Documents and numbers for tests. */

import { VERSION } from '../../../web/js/trajectory/document.js';

/** The same numbers every time. */
export function random(/** @type {number} */ seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Nothing in it can be changed, so an edit that tries fails. */
export function frozen(/** @type {any} */ value) {
  if (typeof value === 'object' && value !== null) Object.values(value).forEach(frozen);
  return Object.freeze(value);
}

/** What must be there. @template T @param {T | null | undefined} value @returns {T} */
export function some(value) {
  if (value === null || value === undefined) throw new Error('nothing there');
  return value;
}

export const listed = (/** @type {any[]} */ ...views) => frozen({ version: VERSION, views });
export const path = (/** @type {any[]} */ ...keyframes) => listed({ keyframes });
export const settings = { views: 0, frames: 16, width: 64, height: 48 };

/** `count` views of `keys` keyframes each, aimed, turned and with times by turns. */
export function randomDocument(/** @type {number} */ count, /** @type {number} */ keys, seed = 1) {
  const next = random(seed);
  const number = () => Math.round((next() - 0.5) * 4000) / 1000;
  return listed(
    ...Array.from({ length: count }, (_, v) => ({
      name: `view ${v}`,
      keyframes: Array.from({ length: keys }, (__, k) => ({
        position: [number(), number(), number()],
        ...(v % 2 ? { look_at: [number(), number(), 6] } : { rotation: [number(), number(), number(), 3] }),
        ...(v % 3 ? {} : { time: k }),
        ...(k % 3 ? {} : { focal: 0.8 + k / 10, easing: 'ease-in-out' }),
      })),
    })),
  );
}

/** Largest differences of positions, of rotations (radians) and of focal lengths (share) of two sets of cameras. */
export function differences(/** @type {any} */ a, /** @type {any} */ b) {
  const worst = { position: 0, angle: 0, focal: 0 };
  a.views.forEach((/** @type {any} */ view, /** @type {number} */ v) => {
    const other = b.views[v];
    for (let f = 0; f < a.frames; f++) {
      let moved = 0;
      let turned = 0;
      for (let i = 0; i < 12; i++) {
        const gap = (view.c2w[16 * f + i] - other.c2w[16 * f + i]) ** 2;
        if (i % 4 === 3) moved += gap;
        else turned += gap;
      }
      worst.position = Math.max(worst.position, Math.sqrt(moved));
      worst.angle = Math.max(worst.angle, 2 * Math.asin(Math.min(Math.sqrt(turned / 8), 1)));
      worst.focal = Math.max(worst.focal, Math.abs(Math.log(view.intrinsics[4 * f] / other.intrinsics[4 * f])));
    }
  });
  return worst;
}

/** Milliseconds of processor time that `run` takes: unlike the clock's, they do not grow when others use the machine. */
export function cost(/** @type {() => unknown} */ run) {
  const from = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1000;
}
