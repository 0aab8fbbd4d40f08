import { describe, expect, test } from 'vitest';
import {
  DEFAULT_TEXT,
  TrajectoryError,
  VERSION,
  migrate,
  parse,
  stringify,
} from '../../../web/js/trajectory/document.js';
import { readJson } from '../../../web/js/trajectory/json_text.js';
import { random, randomDocument, some } from './samples.js';

/** A value of any kind, as deep as `depth`. @param {() => number} next @param {number} depth @returns {unknown} */
function anything(next, depth) {
  const kind = Math.floor(next() * (depth > 0 ? 7 : 5));
  if (kind === 0) return null;
  if (kind === 1) return next() < 0.5;
  if (kind === 2) return (next() - 0.5) * 10 ** Math.floor(next() * 40 - 20);
  if (kind === 3) return Math.floor(next() * 1e6);
  if (kind === 4) {
    return String.fromCodePoint(...Array.from({ length: Math.floor(next() * 6) }, () => Math.floor(next() * 0xd000)));
  }
  /** @type {unknown[]} */
  const items = Array.from({ length: Math.floor(next() * 5) }, () => anything(next, depth - 1));
  return kind === 5 ? items : Object.fromEntries(items.map((item, i) => [`${i}"\\`, item]));
}

describe('reading JSON', () => {
  test('anything that JSON can hold', () => {
    const next = random(3);
    for (let n = 0; n < 500; n++) {
      const value = anything(next, 4);
      expect(readJson(JSON.stringify(value))).toEqual(value);
      expect(readJson(JSON.stringify(value, null, '\t'))).toEqual(value);
    }
  });

  test('what JSON.parse refuses is refused, wherever a text is cut', () => {
    const text = stringify(randomDocument(2, 3));
    for (let cut = 0; cut < text.length - 1; cut++) {
      expect(() => readJson(text.slice(0, cut))).toThrow(TrajectoryError);
    }
  });

  test('a key cannot reach the prototype', () => {
    const read = readJson('{"__proto__": {"polluted": 1}, "constructor": 2}');
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
    expect(/** @type {any} */ ({}).polluted).toBeUndefined();
    expect(() => parse('{"version": 2, "rig": {"name": "circle", "__proto__": 1}}')).toThrow('unknown key "__proto__"');
  });
});

describe('writing', () => {
  test('the default is written as it stands', () => expect(stringify(parse(DEFAULT_TEXT))).toBe(DEFAULT_TEXT));

  test('reading gives back what was written, to the last digit', () => {
    for (let seed = 0; seed < 20; seed++) {
      const document = randomDocument(3, 5, seed);
      expect(parse(stringify(document))).toEqual(document);
    }
  });

  test('a keyframe has its line, an undefined field does not', () => {
    const text = stringify({
      version: VERSION,
      views: [{ name: 'a', color: undefined, keyframes: [{ position: [0, -0, 1.5] }, { position: [1, 2, 3] }] }],
    });
    expect(text).not.toContain('color');
    expect(
      stringify(randomDocument(1, 9))
        .split('\n')
        .filter((line) => line.includes('"position"')),
    ).toHaveLength(9);
    expect(parse(text).views?.[0].keyframes?.[0].position).toEqual([0, 0, 1.5]);
  });

  test('hostile names stay text', () => {
    const name = '<img src=x onerror=alert(1)>"\'`${alert(1)}\u2028';
    const document = parse(stringify({ version: VERSION, views: [{ name, moves: [{ name: 'pan' }] }] }));
    expect(some(document.views)[0].name).toBe(name);
  });
});

describe('versions', () => {
  test('a text of version 1 becomes one of today', () => {
    const views = [{ easing: 'ease-in', moves: [{ name: 'pan' }] }];
    expect(parse(JSON.stringify({ version: 1, views }))).toEqual({ version: VERSION, views });
  });

  test('every step up to the wanted version is run', () => {
    const steps = {
      1: (/** @type {any} */ d) => ({ ...d, log: [1] }),
      2: (/** @type {any} */ d) => ({ ...d, log: [...d.log, 2] }),
    };
    expect(migrate({ version: 1 }, steps, 3)).toEqual({ version: 3, log: [1, 2] });
    expect(migrate({ version: 1 }, steps, 2)).toEqual({ version: 2, log: [1] });
    expect(() => migrate({ version: 4 }, steps, 3)).toThrow('version 4');
  });
});
