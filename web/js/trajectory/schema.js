/**
 * What a trajectory document may hold, as JSON Schema, and the check of a document against it.
 *
 * The same schema stands in ../../trajectory.schema.json for other programs; tests keep the two and Python's equal.
 */

import { EASINGS } from './interpolation.js';
import { TrajectoryError, quote, show } from './messages.js';
import { MOVES, RIGS } from './presets.js';

export const VERSION = 2;

/** @typedef {Record<string, any>} Schema */

const EASING = {
  anyOf: [
    { type: 'string', enum: Object.keys(EASINGS) },
    { type: 'array', minItems: 1, items: numbers(2) },
  ],
};
const FOCAL = { type: 'number', exclusiveMinimum: 0 };

const KEYFRAME = {
  type: 'object',
  properties: {
    position: numbers(3),
    rotation: numbers(4, true),
    look_at: numbers(3, true),
    focal: FOCAL,
    time: { type: ['number', 'null'] },
    easing: EASING,
  },
  required: ['position'],
  additionalProperties: false,
};

const VIEW = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1 },
    color: { type: 'string', pattern: '^#[0-9a-fA-F]{6}$' },
    easing: EASING,
    focal: FOCAL,
    moves: { type: 'array', minItems: 1, items: presetSchema(MOVES) },
    keyframes: { type: 'array', minItems: 1, items: KEYFRAME },
  },
  oneOf: [{ required: ['moves'] }, { required: ['keyframes'] }],
  additionalProperties: false,
};

/** @type {Schema} */
export const SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Camera trajectories',
  type: 'object',
  properties: {
    version: { type: 'integer', enum: [VERSION] },
    rig: presetSchema(RIGS, { focal: FOCAL }),
    views: { type: 'array', minItems: 1, items: VIEW },
  },
  required: ['version'],
  oneOf: [{ required: ['rig'] }, { required: ['views'] }],
  additionalProperties: false,
};

/** @type {Record<string, (value: any) => boolean>} */
export const KINDS = {
  object: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  null: (value) => value === null,
  integer: Number.isInteger,
  number: Number.isFinite,
};

/**
 * Compare `value` with the part of JSON Schema that `SCHEMA` uses.
 *
 * @param {any} value
 * @param {Schema} schema
 * @param {string} path  where the value stands
 */
export function check(value, schema, path) {
  const options = schema.anyOf ?? [schema];
  const fitting = options.find((/** @type {Schema} */ option) => kindsOf(option).some((kind) => KINDS[kind](value)));
  if (!fitting) {
    const kinds = options.flatMap(kindsOf).filter((/** @type {string} */ kind) => kind !== 'null');
    fail(path, show(value), kinds.map(withArticle).join(' or '));
  }
  if (fitting.enum && !fitting.enum.includes(value)) fail(path, show(value), `one of ${fitting.enum.join(', ')}`);
  if (typeof value === 'number' && value <= fitting.exclusiveMinimum) {
    fail(path, show(value), `a number above ${fitting.exclusiveMinimum}`);
  }
  if (typeof value === 'string') {
    if (value.length < fitting.minLength) fail(path, 'an empty text', 'a name, or leave it out');
    if (fitting.pattern && !new RegExp(fitting.pattern).test(value)) {
      fail(path, show(value), `a text of the form ${fitting.pattern}`);
    }
  } else if (Array.isArray(value)) {
    const { minItems: least, maxItems: most = Infinity } = fitting;
    if (value.length < least || value.length > most) {
      fail(path, `${value.length} items`, 'maxItems' in fitting ? `${least}` : `at least ${least}`);
    }
    value.forEach((item, i) => check(item, fitting.items, `${path}[${i}]`));
  } else if (KINDS.object(value)) {
    checkObject(value, fitting, path);
  }
}

/** @param {Record<string, any>} value @param {Schema} schema @param {string} path */
function checkObject(value, schema, path) {
  const known = Object.keys(schema.properties).join(', ');
  for (const key of schema.required ?? []) {
    if (!Object.hasOwn(value, key)) fail(path, `no ${quote(key)}`, `it there (${known} are known)`);
  }
  const choices = (schema.oneOf ?? []).map((/** @type {Schema} */ option) => option.required[0]);
  const given = choices.filter((/** @type {string} */ key) => Object.hasOwn(value, key));
  if (choices.length && given.length !== 1) {
    const found = given.map(quote).join(' and ') || `no ${choices.map(quote).join(' or ')}`;
    fail(path, found, 'exactly one of them');
  }
  for (const [key, item] of Object.entries(value)) {
    if (!Object.hasOwn(schema.properties, key)) fail(path, `the unknown key ${quote(key)}`, `only ${known}`);
    check(item, schema.properties[key], path ? `${path}.${key}` : key);
  }
}

/** @param {string} path @param {string} found @param {string} expected @returns {never} */
function fail(path, found, expected) {
  throw new TrajectoryError(`trajectory JSON${path ? ', ' : ''}${path}: found ${found}; expected ${expected}`);
}

/** @param {Schema} schema @returns {string[]} */
function kindsOf(schema) {
  return typeof schema.type === 'string' ? [schema.type] : schema.type;
}

/** @param {string} kind */
function withArticle(kind) {
  return `${'aio'.includes(kind[0]) ? 'an' : 'a'} ${kind}`;
}

/** @param {number} length @param {boolean} [optional] @returns {Schema} */
function numbers(length, optional = false) {
  return {
    type: optional ? ['array', 'null'] : 'array',
    items: { type: 'number' },
    minItems: length,
    maxItems: length,
  };
}

/**
 * A rig or move: its name, its easing and parameters; which one takes which is checked where it is made.
 *
 * @param {Record<string, import('./presets.js').Preset>} presets
 * @param {Schema} [more]
 * @returns {Schema}
 */
function presetSchema(presets, more = {}) {
  const parameters = Object.values(presets).flatMap((preset) => preset.parameters);
  return {
    type: 'object',
    properties: {
      name: { type: 'string', enum: Object.keys(presets) },
      easing: EASING,
      ...more,
      ...Object.fromEntries(parameters.map(({ name }) => [name, { type: 'number' }])),
    },
    required: ['name'],
    additionalProperties: false,
  };
}
