/**
 * Edits of single keyframes. Every edit returns a new document and leaves the old one, and the parts of it that did not
 * change are the same objects.
 *
 * @import {Document, Easing, Keyframe, View} from './document.js'
 * @import {Settings} from './paths.js'
 */

import { TrajectoryError } from './messages.js';
import { easingCurve } from './interpolation.js';
import { fieldsOf, tidy } from './fit.js';
import { KeyframePath, poseOf } from './keyframes.js';
import {
  DOWN,
  FORWARD,
  RIGHT,
  add,
  dot,
  mix,
  multiplyRotations,
  quaternionFromMatrix,
  rotate,
  rotationAbout,
  rotationOf,
  scale,
  subtract,
  transpose,
} from './math.js';
import { DEFAULT_FOCAL } from './presets.js';

const DEGREES = 180 / Math.PI;

/**
 * Put `fields` into a view; undefined ones are taken out.
 *
 * @param {Document} document @param {number} view @param {Partial<View>} fields
 * @returns {Document}
 */
export function setView(document, view, fields) {
  return { ...document, views: document.views?.map((old, v) => (v === view ? put(old, fields) : old)) };
}

/** @template {object} T @param {T} old @param {Record<string, any>} fields @returns {T} */
export function put(old, fields) {
  const entries = Object.entries({ ...old, ...fields }).filter(([, value]) => value !== undefined);
  return /** @type {T} */ (Object.fromEntries(entries));
}

/** The keyframes of a view, or an error if it has none. @param {Document} document @param {number} view */
export function keyframesOf(document, view) {
  const keyframes = document.views?.[view]?.keyframes;
  if (!keyframes) throw new TrajectoryError(`view ${view + 1} has no keyframes; turn it into keyframes first`);
  return keyframes;
}

/**
 * Put `fields` into a keyframe; undefined and null ones are taken out. A rotation replaces a target, and the other way
 * round.
 *
 * @param {Document} document @param {number} view @param {number} key @param {Partial<Keyframe>} fields
 */
export function setKeyframe(document, view, key, fields) {
  const clean = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, cleaned(name, value)]));
  if (clean.rotation) clean.look_at = undefined;
  if (clean.look_at) clean.rotation = undefined;
  return setView(document, view, {
    keyframes: keyframesOf(document, view).map((old, k) => (k === key ? put(old, clean) : old)),
  });
}

/** @param {string} name @param {any} value */
function cleaned(name, value) {
  if (value === null) return undefined;
  if (name === 'easing') return value;
  return Array.isArray(value) ? value.map(tidy) : tidy(value) || value;
}

/**
 * Pan, tilt and roll in degrees: the camera pans right, then tilts up, then rolls clockwise.
 *
 * @param {Keyframe} keyframe
 * @returns {[number, number, number]}
 */
export function turnsOf(keyframe) {
  const turned = rotationOf(poseOf(keyframe));
  const [x, y, z] = [turned[2], turned[5], turned[8]];
  const pan = Math.hypot(x, z) > 1e-9 ? Math.atan2(x, z) * DEGREES : 0;
  const tilt = Math.asin(Math.min(Math.max(-y, -1), 1)) * DEGREES;
  const left = multiplyRotations(transpose(panned(pan, tilt)), turned);
  return [tidy(pan), tidy(tilt), tidy(Math.atan2(left[3], left[0]) * DEGREES)];
}

/** @param {number} pan @param {number} tilt */
const panned = (pan, tilt) => multiplyRotations(rotationAbout(DOWN, pan), rotationAbout(RIGHT, tilt));

/** The rotation (9 numbers) of pan, tilt and roll in degrees. @param {number[]} turns  as `turnsOf` gives */
export function rotationOfTurns([pan, tilt, roll]) {
  return multiplyRotations(panned(pan, tilt), rotationAbout(FORWARD, roll));
}

/** @param {Document} document @param {number} view @param {number} key @param {number[]} turns  as `turnsOf` gives */
export function turnKeyframe(document, view, key, turns) {
  return setKeyframe(document, view, key, { rotation: quaternionFromMatrix(rotationOfTurns(turns)) });
}

/**
 * Turn a camera to a point, its roll as it was.
 *
 * @param {Document} document
 * @param {number} view
 * @param {number} key
 * @param {ArrayLike<number>} point
 */
export function aimKeyframe(document, view, key, point) {
  const keyframe = keyframesOf(document, view)[key];
  const [x, y, z] = subtract(point, keyframe.position);
  const level = Math.hypot(x, z);
  if (Math.hypot(level, y) < 1e-9) return document;
  const [pan, , roll] = turnsOf(keyframe);
  const turns = [level > 1e-9 ? Math.atan2(x, z) * DEGREES : pan, Math.atan2(-y, level) * DEGREES, roll];
  return turnKeyframe(document, view, key, turns);
}

/**
 * Roll a camera so that the upper side of its picture is towards a point.
 *
 * @param {Document} document
 * @param {number} view
 * @param {number} key
 * @param {ArrayLike<number>} point
 */
export function rollKeyframe(document, view, key, point) {
  const keyframe = keyframesOf(document, view)[key];
  const [pan, tilt] = turnsOf(keyframe);
  const level = transpose(panned(pan, tilt));
  const [x, y] = rotate(level, subtract(point, keyframe.position));
  return Math.hypot(x, y) < 1e-9
    ? document
    : turnKeyframe(document, view, key, [pan, tilt, Math.atan2(x, -y) * DEGREES]);
}

/**
 * Let a camera look at a target, or turn it freely; either way it keeps looking where it looks.
 *
 * @param {Document} document @param {number} view @param {number} key @param {boolean} looks
 */
export function setAim(document, view, key, looks) {
  const keyframes = keyframesOf(document, view);
  const c2w = poseOf(keyframes[key]);
  if (!looks) return setKeyframe(document, view, key, { rotation: fieldsOf(c2w).rotation, look_at: undefined });
  const position = /** @type {any} */ (keyframes[key].position);
  const forward = [c2w[2], c2w[6], c2w[10]];
  const near = keyframes.find((other) => other.look_at)?.look_at;
  const along = near ? dot(subtract(near, position), forward) : 1;
  return setKeyframe(document, view, key, { look_at: add(position, scale(forward, along > 0.01 ? along : 1)) });
}

/**
 * A keyframe where the camera is at a frame; one that is there already is taken.
 *
 * @param {Document} document @param {number} view @param {number} frame  may be fractional @param {Settings} settings
 * @returns {{document: Document, key: number}}
 */
export function addKeyframe(document, view, frame, { frames }) {
  const keyframes = keyframesOf(document, view);
  const { easing = 'linear', focal = DEFAULT_FOCAL } = document.views?.[view] ?? {};
  if (keyframes.length === 1) return { document: duplicateKeyframe(document, view, 0), key: 1 };
  const path = new KeyframePath(keyframes, focal, `views[${view}]`);
  const share = easingCurve(easing)(Math.min(Math.max(frame / (frames - 1 || 1), 0), 1));
  const { from, to, done, time } = path.between(share);
  if (done < 1e-6) return { document, key: from };
  if (done > 1 - 1e-6) return { document, key: to };
  const c2w = new Float64Array(16);
  const lens = tidy(path.at(share, c2w, 0));
  const { position, rotation } = fieldsOf(c2w);
  const [a, b] = [keyframes[from].look_at, keyframes[to].look_at];
  const added = put(/** @type {Keyframe} */ ({ position }), {
    rotation: a && b ? undefined : rotation,
    look_at: a && b ? mix(a, b, done).map(tidy) : undefined,
    focal: Math.abs(lens - focal) > 1e-8 ? lens : undefined,
    time: typeof keyframes[from].time === 'number' ? tidy(time) : undefined,
  });
  return { document: setView(document, view, { keyframes: keyframes.toSpliced(to, 0, added) }), key: to };
}

/** @param {Document} document @param {number} view @param {number} key */
export function deleteKeyframe(document, view, key) {
  const keyframes = keyframesOf(document, view);
  if (keyframes.length === 1) throw new TrajectoryError('A path needs at least one keyframe; delete the view instead');
  return setView(document, view, { keyframes: keyframes.toSpliced(key, 1) });
}

/**
 * Repeat a keyframe; where there are times, halfway to the next.
 *
 * @param {Document} document
 * @param {number} view
 * @param {number} key
 */
export function duplicateKeyframe(document, view, key) {
  const keyframes = keyframesOf(document, view);
  const { time } = keyframes[key];
  const copy = { ...keyframes[key] };
  if (typeof time === 'number') {
    const next = keyframes[key + 1]?.time ?? 2 * time - (keyframes[key - 1]?.time ?? time - 1);
    copy.time = keyframes[key + 1] ? tidy((time + next) / 2) : next;
  }
  return setView(document, view, { keyframes: keyframes.toSpliced(key + 1, 0, copy) });
}

/**
 * Set when the camera is at a keyframe: a time in the unit of the others, or null for constant speed along the path.
 *
 * @param {Document} document @param {number} view @param {number} key @param {number | null} time
 * @param {Settings} settings
 */
export function setTime(document, view, key, time, settings) {
  return time === null ? evenSpeed(document, view) : setKeyframe(timed(document, view, settings), view, key, { time });
}

/** Constant speed: no times. @param {Document} document @param {number} view */
export function evenSpeed(document, view) {
  return setView(document, view, {
    keyframes: keyframesOf(document, view).map((old) => put(old, { time: undefined })),
  });
}

/**
 * Let the camera be at a keyframe at another frame, between its neighbours. The first and the last are where the clip
 * starts and ends.
 *
 * @param {Document} document @param {number} view @param {number} key @param {number} frame @param {Settings} settings
 */
export function retimeKeyframe(document, view, key, frame, settings) {
  const last = keyframesOf(document, view).length - 1;
  if (key <= 0 || key >= last || settings.frames < 2) return document;
  const withTimes = timed(document, view, settings);
  const times = keyframesOf(withTimes, view).map((keyframe) => /** @type {number} */ (keyframe.time));
  const curve = easingCurve(document.views?.[view].easing ?? 'linear');
  const wanted = times[0] + (times[last] - times[0]) * curve(Math.min(Math.max(frame / (settings.frames - 1), 0), 1));
  const [before, after] = [times[key - 1], times[key + 1]];
  const apart = (after - before) * 0.01;
  return setKeyframe(withTimes, view, key, { time: Math.min(Math.max(wanted, before + apart), after - apart) });
}

/**
 * The same path with times in frames, if it has none. Repeated keyframes are set a little apart.
 *
 * @param {Document} document @param {number} view @param {Settings} settings
 */
function timed(document, view, { frames }) {
  const keyframes = keyframesOf(document, view);
  if (keyframes.every(({ time }) => typeof time === 'number')) return document;
  const { focal = DEFAULT_FOCAL } = document.views?.[view] ?? {};
  const path = new KeyframePath(evenSpeed(document, view).views?.[view].keyframes ?? [], focal, `views[${view}]`);
  let earliest = -Infinity;
  return setView(document, view, {
    keyframes: keyframes.map((keyframe, k) => {
      const time = Math.max(tidy((path.times[k] / (path.duration || 1)) * Math.max(frames - 1, 1)), earliest);
      earliest = tidy(time + 0.01);
      return { ...keyframe, time };
    }),
  });
}

/**
 * Points of a curve like an easing, to start a speed graph from.
 *
 * @param {Easing} easing
 * @returns {number[][]}
 */
export function curveOf(easing) {
  if (typeof easing !== 'string') return easing;
  const curve = easingCurve(easing);
  return [0.25, 0.5, 0.75].map((time) => [time, tidy(curve(time))]);
}
