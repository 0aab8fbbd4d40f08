/**
 * Rigs and moves by name, with their parameters: what menus list and the schema allows. How they are made is in rigs.js
 * and moves.js.
 *
 * @typedef {{name: string, unit: string, default: number, above?: number, min?: number, whole?: boolean}} Parameter
 *   `above` and `min` are the limits, exclusive and inclusive, that the number must keep
 * @typedef {{name: string, description: string, parameters: Parameter[]}} Preset
 */

import { TrajectoryError, show } from './messages.js';

/** Focal length divided by the image width: the camera of CVD's own rigs, 60 degrees wide. */
export const DEFAULT_FOCAL = 223.578 / 256;

/** @type {Record<string, Preset>} */
export const RIGS = byName([
  preset('circle', 'Out to the points of a circle around the start, turning to the subject', [
    { name: 'distance', unit: 'world units, radius', default: 0.5, above: 0 },
  ]),
  preset('upper_hemi', 'Out to the points of the upper half circle, turning to the subject', [
    { name: 'distance', unit: 'world units, radius', default: 0.5, above: 0 },
  ]),
  preset('interpolate', 'Out to points that sweep from right to left, bent and tilted', [
    { name: 'distance', unit: "world units, half the sweep's width", default: 0.5, above: 0 },
  ]),
  preset('orbit', 'Arcs around the subject that fan out to both sides, looking at it', [
    { name: 'angle', unit: 'degrees between the outermost views', default: 60, above: 0 },
    { name: 'distance', unit: 'world units to the subject', default: 1, above: 0 },
  ]),
  preset('stereo', 'Side by side, looking straight ahead, moving apart to the full baseline', [
    { name: 'baseline', unit: 'world units between the outermost views', default: 0.5, above: 0 },
  ]),
]);

/** @type {Record<string, Preset>} */
export const MOVES = byName([
  preset('static', 'The camera does not move', []),
  preset('truck', 'Translate sideways', [{ name: 'amount', unit: 'world units, positive moves right', default: 0.5 }]),
  preset('pedestal', 'Translate vertically', [
    { name: 'amount', unit: 'world units, positive moves up', default: 0.5 },
  ]),
  preset('dolly', 'Translate along the view', [
    { name: 'amount', unit: 'world units, positive moves forward', default: 0.5 },
  ]),
  preset('pan', 'Turn sideways on the spot', [{ name: 'amount', unit: 'degrees, positive looks right', default: 30 }]),
  preset('tilt', 'Turn up or down on the spot', [{ name: 'amount', unit: 'degrees, positive looks up', default: 15 }]),
  preset('roll', 'Turn about the view', [
    { name: 'amount', unit: 'degrees, positive turns the camera clockwise', default: 15 },
  ]),
  preset('orbit', 'Arc around a target straight ahead, looking at it', [
    { name: 'amount', unit: 'degrees around, positive moves right', default: 45 },
    { name: 'elevation', unit: 'degrees over, positive moves up', default: 0 },
    { name: 'distance', unit: 'world units to the target', default: 1, above: 0 },
  ]),
  preset('zoom', 'Change the focal length', [
    { name: 'amount', unit: 'factor, above 1 zooms in', default: 2, above: 0 },
  ]),
  preset('handheld', 'Sway like a camera in the hand', [
    { name: 'amount', unit: 'world units, root mean square per axis', default: 0.02 },
    { name: 'rotation', unit: 'degrees, root mean square per axis', default: 0.5 },
    { name: 'cycles', unit: 'sways per clip', default: 3, above: 0 },
    { name: 'seed', unit: 'whole number from 0', default: 0, min: 0, whole: true },
  ]),
]);

/**
 * All parameters of a preset: those given, checked, and defaults for the rest.
 *
 * @param {'rig' | 'move'} kind
 * @param {Preset} preset
 * @param {Record<string, number>} given
 * @returns {Record<string, number>}
 */
export function parametersOf(kind, { name, parameters }, given) {
  for (const key of Object.keys(given)) {
    if (parameters.some((parameter) => parameter.name === key)) continue;
    const known = parameters.map((parameter) => parameter.name).join(', ') || 'none';
    throw new TrajectoryError(`${kind} ${show(name)} has no parameter ${show(key)}; it takes ${known}`);
  }
  return Object.fromEntries(
    parameters.map((parameter) => [parameter.name, given[parameter.name] ?? parameter.default]),
  );
}

/** @param {string} name @param {string} description @param {Parameter[]} parameters @returns {Preset} */
function preset(name, description, parameters) {
  return { name, description, parameters };
}

/** @param {Preset[]} presets */
function byName(presets) {
  return Object.fromEntries(presets.map((one) => [one.name, one]));
}
