/**
 * A JSON reader that tells where a text is wrong, and refuses a key that stands twice in one object.
 *
 * `JSON.parse` silently takes the last of two equal keys, and each browser names the place of an error in its own way or
 * not at all; here it reads single strings and numbers only.
 */

import { TrajectoryError, show } from './messages.js';

/** Documents have a depth of six. */
const DEEPEST = 500;
const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?/y;
const STRING = /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y; // eslint-disable-line no-control-regex
const WORD = /[A-Za-z]+/y;
/** @type {Record<string, boolean | null>} */
const WORDS = { null: null, true: true, false: false };

/**
 * @param {string} text
 * @returns {unknown}
 * @throws {TrajectoryError} not valid JSON, a number that is not finite, or a key twice; with line and column
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
    const value = this.#value();
    this.#take(SPACE);
    if (this.#at < this.#text.length) this.#fail('nothing more');
    return value;
  }

  /** @returns {unknown} */
  #value() {
    this.#take(SPACE);
    const start = this.#text[this.#at];
    if (start === '"') return this.#string();
    if (start === '{') return this.#within('}', {}, (object) => this.#member(object));
    if (start === '[') return this.#within(']', /** @type {unknown[]} */ ([]), (array) => array.push(this.#value()));
    const from = this.#at;
    const number = this.#take(NUMBER);
    if (number) return Number(number);
    const word = this.#take(WORD);
    if (Object.hasOwn(WORDS, word)) return WORDS[word];
    return this.#fail('a value', from);
  }

  /**
   * What stands between brackets, separated by commas.
   *
   * @template T
   * @param {string} close
   * @param {T} all
   * @param {(all: T) => void} readOne  into `all`
   */
  #within(close, all, readOne) {
    if (++this.#depth > DEEPEST) throw new TrajectoryError('trajectory JSON is nested too deeply');
    this.#at++;
    if (!this.#takeSign(close)) {
      do readOne(all);
      while (this.#takeSign(','));
      if (!this.#takeSign(close)) this.#fail(`"," or "${close}"`);
    }
    this.#depth--;
    return all;
  }

  #member(/** @type {object} */ object) {
    this.#take(SPACE);
    const from = this.#at;
    if (this.#text[from] !== '"') this.#fail('a key in double quotes');
    const key = this.#string();
    if (!this.#takeSign(':')) this.#fail('":"');
    const value = this.#value();
    if (Object.hasOwn(object, key)) {
      throw new TrajectoryError(`the key ${show(key)} stands twice in one object; keep one of them`, this.#place(from));
    }
    // Not by assignment: the key may be __proto__.
    Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
  }

  /** @returns {string} */
  #string() {
    const from = this.#at;
    const text = this.#take(STRING);
    if (this.#at >= this.#text.length) this.#fail('a double quote at the end of the text that starts here', from);
    if (this.#text[this.#at] !== '"') this.#fail('a character that may stand in a text, or an escape such as \\n');
    this.#at++;
    return JSON.parse(`${text}"`);
  }

  /** What a sticky pattern finds here, which is read; empty if nothing. */
  #take(/** @type {RegExp} */ pattern) {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }

  /** Whether a sign comes next, which is read. */
  #takeSign(/** @type {string} */ sign) {
    this.#take(SPACE);
    if (this.#text[this.#at] !== sign) return false;
    this.#at++;
    return true;
  }

  #place(/** @type {number} */ at) {
    const before = this.#text.slice(0, at);
    return `line ${before.split('\n').length}, column ${at - before.lastIndexOf('\n')}`;
  }

  /** @returns {never} */
  #fail(/** @type {string} */ expected, at = this.#at) {
    const found = at < this.#text.length ? show(this.#text.slice(at).split(/\s/, 1)[0].slice(0, 12)) : 'the end';
    throw new TrajectoryError(`not valid JSON: found ${found}; expected ${expected}`, this.#place(at));
  }
}
