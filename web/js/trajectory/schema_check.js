/**
 * The check of a document against its schema: the part of JSON Schema that ./schema.js uses.
 *
 * @typedef {{
 *   $schema?: string, title?: string, type?: string | string[], enum?: (string | number)[], anyOf?: Schema[],
 *   oneOf?: {required: string[]}[], properties?: Record<string, Schema>, required?: string[],
 *   additionalProperties?: boolean, items?: Schema, minItems?: number, maxItems?: number, minLength?: number,
 *   pattern?: string, exclusiveMinimum?: number,
 * }} Schema
 */

import { TrajectoryError, show } from './messages.js';

/** @type {Record<string, (value: unknown) => boolean>} */
const KINDS = {
  object: isObject,
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  null: (value) => value === null,
  integer: Number.isInteger,
  number: Number.isFinite,
};

/** @param {unknown} value @returns {value is Record<string, unknown>} */
export function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * @param {unknown} value
 * @param {Schema} schema
 * @param {string} [place]  where the value stands in the document
 * @throws {TrajectoryError} the first thing that the schema does not allow
 */
export function checkSchema(value, schema, place = '') {
  const options = schema.anyOf ?? [schema];
  const fitting = options.find((option) => kindsOf(option).some((kind) => KINDS[kind](value)));
  if (!fitting) {
    const kinds = options.flatMap(kindsOf).filter((kind) => kind !== 'null');
    return fail(
      place,
      show(value),
      kinds.map((kind) => `${'aio'.includes(kind[0]) ? 'an' : 'a'} ${kind}`).join(' or '),
    );
  }
  if (fitting.enum && !fitting.enum.some((allowed) => allowed === value)) {
    fail(place, show(value), `one of ${fitting.enum.join(', ')}`);
  }
  if (typeof value === 'number') checkNumber(value, fitting, place);
  else if (typeof value === 'string') checkString(value, fitting, place);
  else if (Array.isArray(value)) checkArray(value, fitting, place);
  else if (isObject(value)) checkObject(value, fitting, place);
}

/** @param {number} value @param {Schema} schema @param {string} place */
function checkNumber(value, { exclusiveMinimum: limit }, place) {
  if (limit !== undefined && value <= limit) fail(place, show(value), `a number above ${limit}`);
}

/** @param {string} value @param {Schema} schema @param {string} place */
function checkString(value, { minLength = 0, pattern }, place) {
  if (value.length < minLength) fail(place, 'an empty text', 'a name, or leave it out');
  if (pattern && !new RegExp(pattern, 'v').test(value)) fail(place, show(value), `a text of the form ${pattern}`);
}

/** @param {unknown[]} value @param {Schema} schema @param {string} place */
function checkArray(value, { items = {}, minItems: least = 0, maxItems: most }, place) {
  if (value.length < least || value.length > (most ?? Infinity)) {
    fail(place, `${value.length} items`, most === undefined ? `at least ${least}` : `${least}`);
  }
  value.forEach((item, i) => checkSchema(item, items, `${place}[${i}]`));
}

/** @param {Record<string, unknown>} value @param {Schema} schema @param {string} place */
function checkObject(value, { properties = {}, required = [], oneOf = [] }, place) {
  const known = Object.keys(properties).join(', ');
  const missing = required.find((key) => !Object.hasOwn(value, key));
  if (missing) fail(place, `no ${show(missing)}`, `it there (${known} are known)`);
  const choices = oneOf.map((option) => option.required[0]);
  const given = choices.filter((key) => Object.hasOwn(value, key));
  if (choices.length && given.length !== 1) {
    const found = given.map(show).join(' and ') || `no ${choices.map(show).join(' or ')}`;
    fail(place, found, 'exactly one of them');
  }
  for (const [key, item] of Object.entries(value)) {
    if (!Object.hasOwn(properties, key)) fail(place, `the unknown key ${show(key)}`, `only ${known}`);
    checkSchema(item, properties[key], place ? `${place}.${key}` : key);
  }
}

/** @param {string} place @param {string} found @param {string} expected @returns {never} */
function fail(place, found, expected) {
  throw new TrajectoryError(`found ${found}; expected ${expected}`, place);
}

/** @param {Schema} schema @returns {string[]} */
function kindsOf({ type = [] }) {
  return typeof type === 'string' ? [type] : type;
}
