/**
 * Trajectory documents: camera paths as one small JSON text, the value of the node's widget.
 *
 * The fields are those of cvd_core/geometry/trajectory_json.py; both sides accept the same texts, refuse
 * the same at the same places and build the same cameras.
 *
 * @typedef {string | number[][]} Easing  a name, or points [time, way] of a speed curve
 * @typedef {{
 *   position: number[], rotation?: number[] | null, look_at?: number[] | null, focal?: number, time?: number | null,
 *   easing?: Easing,
 * }} Keyframe
 * @typedef {{name: string, easing?: Easing} & Record<string, any>} Move  a move or rig with its parameters
 * @typedef {{
 *   name?: string, color?: string, easing?: Easing, focal?: number, moves?: Move[], keyframes?: Keyframe[],
 * }} View
 * @typedef {{version: number, rig?: Move & {focal?: number}, views?: View[]}} Document
 */

import { readJson } from './json_text.js';
import { TrajectoryError } from './messages.js';
import { SCHEMA } from './schema.js';
import { checkSchema, isObject } from './schema_check.js';

export { TrajectoryError };

export const VERSION = Number(SCHEMA.properties?.version.enum?.[0]);

/**
 * `MIGRATIONS[n]` turns a document of version n into one of version n + 1.
 *
 * @type {Record<number, (document: any) => any>}
 */
const MIGRATIONS = { 1: (document) => document };

/** Colours of views that state none, in turn: bright enough for a dark editor. */
export const VIEW_COLORS = ['#3B9EFF', '#FF7A33', '#2CC295', '#E58BC0', '#FFC233', '#7FD4FF', '#B98AE8', '#C9CDD3'];

/** The rig of CVD's released code; a good start for any number of views. */
export const DEFAULT_TEXT = `{
  "version": 2,
  "rig": {"name": "circle", "distance": 0.5, "easing": "linear"}
}`;

/** Lines longer than this are broken into one item each. */
const WIDEST = 110;

/**
 * The document in a text, brought to the current version and checked.
 *
 * @param {string} text
 * @returns {Document}
 * @throws {TrajectoryError} no JSON, a newer version, or anything that the schema does not allow; the message names the
 *   place, what was found and what was expected
 */
export function parse(text) {
  const read = readJson(text);
  const document = isObject(read) ? migrate(read, MIGRATIONS, VERSION) : read;
  checkSchema(document, SCHEMA);
  return /** @type {Document} */ (document);
}

/**
 * A document as version `target`; what has no usable version number is left to the schema's check.
 *
 * @param {any} document
 * @param {Record<number, (document: any) => any>} migrations
 * @param {number} target
 */
export function migrate(document, migrations, target) {
  let { version } = document;
  if (!Number.isInteger(version)) return document;
  if (version > target) {
    throw new TrajectoryError(
      `trajectory JSON is version ${version}; this pack reads up to version ${target}, so update it`,
    );
  }
  let migrated = document;
  while (version in migrations && version < target) migrated = migrations[version++](migrated);
  return { ...migrated, version };
}

/**
 * The text of a document, what fits on a line on one; numbers keep all their digits.
 *
 * @param {any} document
 * @returns {string}
 */
export function stringify(document) {
  return lay(document, '');
}

/** @param {any} value @param {string} indent @returns {string} */
function lay(value, indent) {
  const line = flat(value);
  if (typeof value !== 'object' || value === null || (indent && indent.length + line.length <= WIDEST)) return line;
  const deeper = `${indent}  `;
  const list = Array.isArray(value);
  const items = list
    ? value.map((item) => deeper + lay(item, deeper))
    : entries(value).map(([key, item]) => `${deeper}${JSON.stringify(key)}: ${lay(item, deeper)}`);
  return list ? `[\n${items.join(',\n')}\n${indent}]` : `{\n${items.join(',\n')}\n${indent}}`;
}

/** @param {any} value @returns {string} */
function flat(value) {
  if (Array.isArray(value)) return `[${value.map(flat).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    return `{${entries(value)
      .map(([key, item]) => `${JSON.stringify(key)}: ${flat(item)}`)
      .join(', ')}}`;
  }
  return JSON.stringify(value);
}

/** @param {any} value  an object, whose undefined fields do not count */
function entries(value) {
  return Object.entries(value).filter(([, item]) => item !== undefined);
}
