/**
 * Paths made into keyframes: of rigs and moves, and drawn by hand. As in edit_keyframes.js, every edit returns a new
 * document.
 *
 * @import {Document, Easing, View} from './document.js'
 * @import {Path, Settings} from './paths.js'
 */

import { keyframesOf, put, setView } from './edit_keyframes.js';
import { fitKeyframes, tidy } from './fit.js';
import { add, distance, mix, pose, subtract } from './math.js';
import { build } from './paths.js';
import { DEFAULT_FOCAL } from './presets.js';

/** Samples of a path that keyframes are fitted to, at least. */
const SAMPLES = 64;
/** Points that a stroke is followed at, and the filter that smooths them. */
const STROKE_POINTS = 129;
const WEIGHTS = [-2, 3, 6, 7, 6, 3, -2].map((weight) => weight / 21);
/** How far a path may leave the stroke it was drawn with, as a share of the stroke's length. */
const LOOSE = 0.007;
/** Shorter strokes, in world units, draw nothing. */
const SHORTEST = 1e-6;

/**
 * Few keyframes instead of a rig or moves: the same paths to a thousandth of their length and of a radian.
 *
 * @param {Document} document
 * @param {Settings} settings
 * @param {number} [view]  this view only; otherwise all that are moves, or the rig
 * @returns {Document}
 */
export function bake(document, settings, view) {
  const last = Math.max(settings.frames - 1, 1);
  const frames = 1 + last * Math.ceil(SAMPLES / last); // the clip's own frames are among the samples
  const sampled = (/** @type {Document} */ made, /** @type {number} */ views) =>
    build(made, { ...settings, views, frames }).views;
  const times = Float64Array.from({ length: frames }, (_, i) => tidy((last * i) / (frames - 1)));

  if (document.rig) {
    // The easing stays a field of the views: an even path needs fewer keyframes, and it can still be changed.
    const { easing, focal, ...rig } = document.rig;
    const views = sampled({ ...document, rig: put(rig, { focal }) }, settings.views);
    return {
      version: document.version,
      views: views.map((made) =>
        put(
          { name: made.name, color: made.color },
          {
            easing,
            focal,
            keyframes: keyframesFor(made, focal, times),
          },
        ),
      ),
    };
  }
  return {
    ...document,
    views: document.views?.map((described, v) => {
      const { moves, focal } = described;
      if (!moves || (view !== undefined && v !== view)) return described;
      const easing = commonEasing(described);
      const evened = easing
        ? { ...described, easing: undefined, moves: moves.map((move) => put(move, { easing: undefined })) }
        : described;
      const [made] = sampled({ ...document, views: [evened] }, 0);
      return put(described, {
        moves: undefined,
        easing: easing ?? undefined,
        keyframes: keyframesFor(made, focal, times),
      });
    }),
  };
}

/** The easing that all moves of a view share, or null. @param {View} view @returns {Easing | null} */
function commonEasing({ moves = [], easing = 'linear' }) {
  const [first, ...others] = moves.map((move) => move.easing ?? easing);
  return others.every((other) => JSON.stringify(other) === JSON.stringify(first)) ? first : null;
}

/** @param {Path} made @param {number | undefined} focal @param {Float64Array} times */
function keyframesFor({ c2w, intrinsics }, focal, times) {
  const focals = intrinsics.filter((_, i) => i % 4 === 0);
  return fitKeyframes({ c2w, focals }, { focal: focal ?? DEFAULT_FOCAL, times });
}

/**
 * The path of a view, drawn by hand: as few keyframes as it takes to follow the stroke, at even speed, turned and aimed
 * as the view starts.
 *
 * @param {Document} document
 * @param {number} view
 * @param {number[][]} stroke  points in world units
 * @param {{keepStart: boolean}} how  whether the stroke is moved to where the view starts
 * @returns {Document}
 */
export function drawFreehand(document, view, stroke, { keepStart }) {
  const [first] = keyframesOf(document, view);
  const points = smooth(evenly(stroke, STROKE_POINTS));
  const length = points.reduce((sum, point, i) => sum + (i ? distance(point, points[i - 1]) : 0), 0);
  if (length < SHORTEST) return document;
  const shift = keepStart ? subtract(first.position, points[0]) : [0, 0, 0];
  const flat = points.map((point) => pose([1, 0, 0, 0, 1, 0, 0, 0, 1], add(point, shift)));
  const focals = new Float64Array(points.length).fill(1);
  const drawn = fitKeyframes(
    { c2w: Float64Array.from(flat.flat()), focals },
    {
      focal: 1,
      times: focals.map((_, i) => i),
      away: LOOSE * length,
    },
  );
  const { time, easing, ...kept } = first;
  return setView(document, view, {
    keyframes: drawn.map(({ position }, k) => ({
      ...kept,
      position: k === 0 && keepStart ? first.position : position,
    })),
  });
}

/**
 * `count` points at equal distances along a stroke.
 *
 * @param {number[][]} stroke
 * @param {number} count
 * @returns {number[][]}
 */
function evenly(stroke, count) {
  const walked = [0];
  for (let i = 1; i < stroke.length; i++) walked.push(walked[i - 1] + distance(stroke[i], stroke[i - 1]));
  const step = walked[walked.length - 1] / (count - 1);
  let i = 0;
  return Array.from({ length: count }, (_, n) => {
    while (i < stroke.length - 2 && walked[i + 1] < n * step) i++;
    const room = walked[i + 1] - walked[i];
    return mix(stroke[i], stroke[i + 1] ?? stroke[i], room ? Math.min((n * step - walked[i]) / room, 1) : 0);
  });
}

/**
 * Takes out the tremble of a hand; ends and curves stay: a parabola through seven neighbours (Savitzky and Golay 1964).
 *
 * @param {number[][]} points
 * @returns {number[][]}
 */
function smooth(points) {
  const middle = (/** @type {number} */ i) => {
    const near = points.slice(i - 3, i + 4);
    return points[i].map((_, axis) => near.reduce((sum, other, k) => sum + WEIGHTS[k] * other[axis], 0));
  };
  return evenly(
    points.map((point, i) => (i < 3 || i > points.length - 4 ? point : middle(i))),
    points.length,
  );
}
