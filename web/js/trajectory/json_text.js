/**
 * A JSON reader as strict as the Python side: no key twice, no NaN, and errors with line and column.
 *
 * `JSON.parse` silently takes the last of two equal keys, and its messages differ from browser to browser.
 */

import { TrajectoryError, quote } from './messages.js';

/** Documents have a depth of six. */
const DEEPEST = 500;
const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?/y;
const CONSTANT = /NaN|-?Infinity/y;
const PLAIN = /[^"\\\x00-\x1f]*/y;
const ESCAPES = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
const WORDS = /** @type {[string, null | boolean][]} */ ([
  ['null', null],
  ['true', true],
  ['false', false],
]);

/**
 * @param {string} text
 * @returns {unknown}
 */
export function readJson(text) {
  return new Reader(text).document();
}

class Reader {
  #at = 0;
  #depth = 0;
  #text;

  constructor(/** @type {string} */ text) {
    this.#text = text;
  }

  document() {
    if (this.#text.startsWith('\ufeff')) this.#fail('Unexpected UTF-8 BOM (decode using utf-8-sig)', 0);
    const value = this.#value();
    this.#space();
    if (this.#at < this.#text.length) this.#fail('Extra data');
    return value;
  }

  /** @returns {unknown} */
  #value() {
    this.#space();
    const start = this.#text[this.#at];
    if (start === '"') return this.#string();
    if (start === '{' || start === '[') {
      if (++this.#depth > DEEPEST) {
        throw new TrajectoryError('trajectory JSON is nested too deeply; expected a rig or a list of views');
      }
      const value = start === '{' ? this.#object() : this.#array();
      this.#depth--;
      return value;
    }
    for (const [word, value] of WORDS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    const constant = this.#match(CONSTANT);
    if (constant) throw new TrajectoryError(`trajectory JSON holds ${constant}; every number must be finite`);
    const number = this.#match(NUMBER);
    if (!number) this.#fail('Expecting value');
    return Number(number);
  }

  #object() {
    /** @type {Record<string, unknown>} */
    const object = {};
    const keys = new Set();
    this.#at++;
    this.#space();
    if (this.#take('}')) return object;
    for (;;) {
      if (this.#text[this.#at] !== '"') this.#fail('Expecting property name enclosed in double quotes');
      const key = this.#string();
      this.#space();
      if (!this.#take(':')) this.#fail("Expecting ':' delimiter");
      const value = this.#value();
      if (keys.has(key)) {
        throw new TrajectoryError(`trajectory JSON has the key ${quote(key)} twice in one object; keep one of them`);
      }
      keys.add(key);
      // Not by assignment: the key may be __proto__.
      Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
      this.#space();
      if (this.#take('}')) return object;
      if (!this.#take(',')) this.#fail("Expecting ',' delimiter");
      this.#space();
    }
  }

  #array() {
    /** @type {unknown[]} */
    const array = [];
    this.#at++;
    this.#space();
    if (this.#take(']')) return array;
    for (;;) {
      array.push(this.#value());
      this.#space();
      if (this.#take(']')) return array;
      if (!this.#take(',')) this.#fail("Expecting ',' delimiter");
    }
  }

  #string() {
    const start = this.#at++;
    let string = '';
    for (;;) {
      string += this.#match(PLAIN);
      const end = this.#text[this.#at];
      if (end === undefined) this.#fail('Unterminated string starting', start);
      if (this.#take('"')) return string;
      if (end !== '\\') this.#fail('Invalid control character');
      const letter = this.#text[this.#at + 1];
      if (letter === undefined) this.#fail('Unterminated string starting', start);
      if (letter === 'u') {
        const digits = this.#text.slice(this.#at + 2, this.#at + 6);
        if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.#fail('Invalid \\uXXXX escape', this.#at + 1);
        string += String.fromCharCode(Number.parseInt(digits, 16));
        this.#at += 6;
      } else {
        if (!Object.hasOwn(ESCAPES, letter)) this.#fail('Invalid \\escape');
        string += ESCAPES[/** @type {keyof typeof ESCAPES} */ (letter)];
        this.#at += 2;
      }
    }
  }

  #space() {
    this.#match(SPACE);
  }

  #take(/** @type {string} */ character) {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  /** What a sticky pattern finds here, which is read; empty if nothing. */
  #match(/** @type {RegExp} */ pattern) {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }

  /** @returns {never} */
  #fail(/** @type {string} */ problem, at = this.#at) {
    const before = this.#text.slice(0, at);
    const line = before.split('\n').length;
    throw new TrajectoryError(
      `trajectory JSON cannot be read: ${problem} at line ${line}, column ${at - before.lastIndexOf('\n')}`,
    );
  }
}
