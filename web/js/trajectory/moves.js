/**
 * Named camera moves of one view; the same as cvd_core/geometry/moves.py, where each is explained.
 *
 * @typedef {import('./document.js').Move} MoveFields
 * @typedef {import('./document.js').Easing} Easing
 * @typedef {{poses: Float64Array, zoom: Float64Array}} Motion  poses relative to the first, 16 numbers per frame, and
 *   factors on the focal length
 */

import { TrajectoryError } from './messages.js';
import { clipTimes, number, pick, positive } from './interpolation.js';
import {
  DOWN,
  FORWARD,
  RIGHT,
  matrixFromQuaternion,
  multiplyPoses,
  multiplyRotations,
  pose,
  quaternionFromVector,
  rotate,
  rotationAbout,
  scale,
  subtract,
} from './math.js';
import { MOVES, parametersOf } from './presets.js';
import { randomNumbers } from './random.js';

const IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1];

/** @type {Record<string, (parameters: Record<string, number>, frames: number, easing: Easing) => Motion>} */
const BUILDERS = {
  static: (_, frames, easing) => motion(clipTimes(frames, easing), () => pose(IDENTITY, [0, 0, 0])),
  truck: ({ amount }, frames, easing) => translation(RIGHT, amount, frames, easing),
  pedestal: ({ amount }, frames, easing) => translation(scale(DOWN, -1), amount, frames, easing),
  dolly: ({ amount }, frames, easing) => translation(FORWARD, amount, frames, easing),
  pan: ({ amount }, frames, easing) => turn(DOWN, amount, frames, easing),
  tilt: ({ amount }, frames, easing) => turn(RIGHT, amount, frames, easing),
  roll: ({ amount }, frames, easing) => turn(FORWARD, amount, frames, easing),
  orbit,
  zoom: ({ amount }, frames, easing) => {
    const u = clipTimes(frames, easing);
    positive('amount', amount);
    return { ...motion(u, () => pose(IDENTITY, [0, 0, 0])), zoom: u.map((share) => amount ** share) };
  },
  handheld,
};

/**
 * @param {MoveFields} fields  name and parameters
 * @param {number} frames
 * @param {Easing} defaultEasing  where the fields have none
 * @returns {Motion}
 */
export function makeMove({ name, easing, ...parameters }, frames, defaultEasing = 'linear') {
  return BUILDERS[name](parametersOf('move', pick('move', name, MOVES), parameters), frames, easing ?? defaultEasing);
}

/** Several moves at once: each in the moving frame of those before it; zooms multiply. @param {Motion[]} motions */
export function combine(motions) {
  return motions.reduce((sum, more) => {
    const poses = new Float64Array(sum.poses.length);
    for (let at = 0; at < poses.length; at += 16) {
      poses.set(multiplyPoses(sum.poses.subarray(at, at + 16), more.poses.subarray(at, at + 16)), at);
    }
    return { poses, zoom: sum.zoom.map((factor, f) => factor * more.zoom[f]) };
  });
}

/** @param {Record<string, number>} parameters @param {number} frames @param {Easing} easing */
export function orbit({ amount, elevation = 0, distance }, frames, easing) {
  const u = clipTimes(frames, easing);
  number('amount', amount);
  number('elevation', elevation);
  const target = scale(FORWARD, positive('distance', distance));
  return motion(u, (share) => {
    const rotation = multiplyRotations(rotationAbout(DOWN, -amount * share), rotationAbout(RIGHT, -elevation * share));
    return pose(rotation, subtract(target, rotate(rotation, target)));
  });
}

/**
 * @param {import('./math.js').Vector} direction
 * @param {number} amount
 * @param {number} frames
 * @param {Easing} easing
 */
export function translation(direction, amount, frames, easing) {
  const u = clipTimes(frames, easing);
  number('amount', amount);
  return motion(u, (share) => pose(IDENTITY, scale(direction, amount * share)));
}

/** @param {import('./math.js').Vector} axis @param {number} amount @param {number} frames @param {Easing} easing */
function turn(axis, amount, frames, easing) {
  const u = clipTimes(frames, easing);
  number('amount', amount);
  return motion(u, (share) => pose(rotationAbout(axis, amount * share), [0, 0, 0]));
}

/** @param {Record<string, number>} parameters @param {number} frames @param {Easing} easing */
function handheld({ amount, rotation, cycles, seed }, frames, easing) {
  if (number('seed', seed) < 0 || !Number.isInteger(seed)) {
    throw new TrajectoryError(`seed is ${seed}; expected a whole number from 0`);
  }
  const u = clipTimes(frames, easing);
  positive('cycles', cycles);
  number('rotation', rotation);
  number('amount', amount);
  const waves = wavesOf(seed, cycles);
  const degree = Math.PI / 180;
  return motion(u, (share) => {
    const sway = waves.map((channel) =>
      channel.reduce(
        (sum, { size, frequency, phase }) =>
          sum + size * (Math.sin(2 * Math.PI * frequency * share + phase) - Math.sin(phase)),
        0,
      ),
    );
    const turned = quaternionFromVector(scale(sway.slice(3), rotation * degree));
    return pose(matrixFromQuaternion(turned), scale(sway, amount));
  });
}

/** Six channels of four waves: slow sways are wide, tremor is small. @param {number} seed @param {number} cycles */
function wavesOf(seed, cycles) {
  const random = randomNumbers(seed);
  const octaves = [0.5, 1, 2, 4];
  const norm = Math.sqrt(2 / octaves.reduce((sum, octave) => sum + octave ** -2, 0));
  const channels = Array.from({ length: 6 }, () =>
    octaves.map((octave) => ({
      size: norm / octave,
      frequency: cycles * octave * (0.8 + (1.2 - 0.8) * random()),
      phase: 0,
    })),
  );
  for (const channel of channels) for (const wave of channel) wave.phase = 2 * Math.PI * random();
  return channels;
}

/** @param {Float64Array} u @param {(share: number) => number[]} poseAt @returns {Motion} */
function motion(u, poseAt) {
  const poses = new Float64Array(16 * u.length);
  u.forEach((share, f) => poses.set(poseAt(share), 16 * f));
  return { poses, zoom: new Float64Array(u.length).fill(1) };
}
