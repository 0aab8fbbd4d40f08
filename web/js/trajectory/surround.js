/**
 * Cameras around a subject: each view ends at a place of its own on a circle, all looking at the subject in its middle.
 *
 * CVD was trained on views that leave one common start. With a lead-in every camera starts there and travels out to its
 * place, as those of the rig `interpolate` do; without one, they stand at their places from the first frame.
 *
 * @import {Document} from './document.js'
 */

import { VERSION, VIEW_COLORS } from './document.js';
import { tidy } from './fit.js';

/** The point that CVD's rigs turn to. */
const SUBJECT = [0, 0, 1];
/** A whole circle has as many gaps as views; an arc has one less. */
const WHOLE = 360;

/**
 * @param {{views: number, angle: number, distance?: number, leadIn: number}} of  degrees between the outermost views,
 *   world units to the subject, and the fraction of the clip after which the cameras stand at their places: 0 for
 *   cameras that stand there all the time
 * @returns {Document}
 */
export function surround({ views, angle, distance = 1, leadIn }) {
  const gaps = angle >= WHOLE ? views : Math.max(views - 1, 1);
  return {
    version: VERSION,
    views: Array.from({ length: views }, (_, v) => {
      const degrees = angle >= WHOLE ? (angle * v) / gaps : views === 1 ? 0 : angle * (v / gaps - 0.5);
      const target = { look_at: SUBJECT };
      const place = { position: onCircle(degrees, distance), ...target };
      const keyframes =
        leadIn > 0
          ? leading({ position: onCircle(0, distance), ...target }, place, leadIn, degrees, distance)
          : [place];
      return { name: `cam${v + 1}`, color: VIEW_COLORS[v % VIEW_COLORS.length], keyframes };
    }),
  };
}

/**
 * From the common start along the circle to a place, and on standing there.
 *
 * @param {{position: number[], look_at: number[]}} start
 * @param {{position: number[], look_at: number[]}} place
 * @param {number} leadIn
 * @param {number} degrees
 * @param {number} distance
 */
function leading(start, place, leadIn, degrees, distance) {
  const signed = degrees > WHOLE / 2 ? degrees - WHOLE : degrees; // the short way around
  const steps = Math.max(Math.ceil(Math.abs(signed) / 45), 1);
  const way = Array.from({ length: steps - 1 }, (_, i) => {
    const done = (i + 1) / steps;
    return { ...place, position: onCircle(signed * done, distance), time: tidy(leadIn * done) };
  });
  const rest = leadIn < 1 ? [{ ...place, time: 1 }] : [];
  return [{ ...start, time: 0 }, ...way, { ...place, time: leadIn }, ...rest];
}

/** @param {number} degrees  to the right of where the subject is seen from @param {number} distance */
function onCircle(degrees, distance) {
  const angle = (degrees * Math.PI) / 180;
  return [Math.sin(angle) * distance + SUBJECT[0], SUBJECT[1], SUBJECT[2] - Math.cos(angle) * distance].map(tidy);
}
