import { describe, expect, test } from 'vitest';
import { alignStarts, bake } from '../../../web/js/trajectory/edit.js';
import { check } from '../../../web/js/trajectory/checks.js';
import { build } from '../../../web/js/trajectory/paths.js';
import { RIGS } from '../../../web/js/trajectory/presets.js';
import { cost, listed, path, settings } from './samples.js';

const TRUCK = { name: 'a', moves: [{ name: 'truck' }] };
const found = (/** @type {any} */ document, more = {}) => check(build(document, { ...settings, ...more }));
const kinds = (/** @type {any} */ document, more = {}) => found(document, more).map(({ kind }) => kind);

test.each(Object.keys(RIGS))('nothing is wrong with the rig %s, baked or not', (name) => {
  const rig = { version: 2, rig: { name } };
  expect(found(rig, { views: 6 })).toEqual([]);
  expect(found(bake(rig, { ...settings, views: 6 }))).toEqual([]);
});

test('a single view or frame has nothing to be compared with', () => {
  expect(found(listed(TRUCK))).toEqual([]);
  expect(found(listed(TRUCK, { moves: [{ name: 'pan' }] }), { frames: 1 })).toEqual([]);
});

describe('first poses', () => {
  const other = (/** @type {any} */ start) =>
    listed(TRUCK, { name: 'b', keyframes: [start, { position: [0.4, 0.3, 0] }] });

  test.each([
    ['moved', { position: [0, 0, 0.01] }],
    ['turned', { position: [0, 0, 0], rotation: [0, 0.001, 0, 1] }],
    ['of another lens', { position: [0, 0, 0], focal: 1 }],
  ])('%s', (_, start) => {
    expect(found(other(start))[0]).toMatchObject({
      kind: 'first-pose',
      views: [0, 1],
      frames: [0],
      message: expect.stringContaining('b does not start as a does'),
    });
  });

  test('the same, but for rounding', () => expect(kinds(other({ position: [1e-8, 0, 0] }))).toEqual([]));

  test('made the same again', () => {
    const apart = bake(other({ position: [3, 1, 2], rotation: [0, 1, 0, 1] }), settings);
    expect(kinds(apart)).toContain('first-pose');
    expect(kinds(alignStarts(apart, 0))).not.toContain('first-pose');
  });
});

describe('baselines', () => {
  test('two cameras that only turn', () => {
    const [one] = found(
      listed(
        { name: 'a', moves: [{ name: 'pan' }] },
        { name: 'b', moves: [{ name: 'tilt' }] },
        { ...TRUCK, name: 'c' },
      ),
    );
    expect(one).toMatchObject({
      kind: 'rotation-only',
      severity: 'error',
      views: [0, 1],
      message: expect.stringContaining('only turn or zoom in all frames'),
    });
    expect(one.frames).toHaveLength(15);
  });

  test('a zoom is no baseline either', () =>
    expect(kinds(listed({ moves: [{ name: 'zoom' }] }, { moves: [{ name: 'static' }] }))).toEqual(['rotation-only']));

  test('the same path twice', () => {
    expect(found(listed(TRUCK, { ...TRUCK, name: 'b' }))[0]).toMatchObject({
      kind: 'baseline',
      severity: 'error',
      message: expect.stringContaining('one and the same camera in all frames'),
    });
  });

  test('the same path from another start, which the networks do not see', () => {
    const away = (/** @type {number} */ x) => ({ keyframes: [{ position: [x, 0, 0] }, { position: [x, 0.3, 0] }] });
    expect(kinds(listed(away(0), away(5)))).toEqual(['first-pose', 'baseline']);
  });

  test('a late start', () => {
    const late = { name: 'b', moves: [{ name: 'pedestal', easing: [[0.3, 0]] }] };
    const [one] = found(listed({ ...TRUCK, moves: [{ name: 'truck', easing: [[0.3, 0]] }] }, late));
    expect(one).toMatchObject({
      kind: 'baseline',
      severity: 'warning',
      frames: [1, 2, 3, 4],
      message: expect.stringContaining('in frames 2 to 5:'),
    });
  });

  test('a slow start is none', () => {
    const slow = (/** @type {string} */ name) => ({ name, moves: [{ name, easing: [[0.3, 0.1]], amount: 0.5 }] });
    const crawl = (/** @type {string} */ name) => ({ name, moves: [{ name, easing: [[0.08, 0]] }] });
    expect(kinds(listed(slow('truck'), slow('pedestal')))).toEqual([]);
    expect(kinds(listed(crawl('truck'), crawl('pedestal')), { frames: 100 })).toEqual([]);
  });

  test('very many pairs are told in few words', () => {
    const all = found(listed(...Array.from({ length: 12 }, (_, v) => ({ ...TRUCK, name: `v${v}` }))));
    expect(all).toHaveLength(4);
    expect(all[3].message).toContain('63 more pairs');
  });
});

test('views that look away from each other', () => {
  const pan = (/** @type {number} */ amount) => ({
    name: `pan ${amount}`,
    moves: [
      { name: 'truck', amount: amount / 100 },
      { name: 'pan', amount },
    ],
  });
  expect(kinds(listed(pan(-10), pan(15)), { frames: 32 })).toEqual([]);
  const [one] = found(listed(pan(-50), pan(50)), { frames: 32 });
  expect(one).toMatchObject({
    kind: 'overlap',
    views: [0, 1],
    message: expect.stringMatching(/look away from each other: in frame (1[7-9]|[23]\d) they see about 0 %/),
  });
});

test('speed and jumps', () => {
  const steps = (/** @type {number[]} */ ...xs) => path(...xs.map((x, k) => ({ position: [x, 0, 0], time: k })));
  expect(kinds(steps(0, 0.1, 0.2, 0.3, 0.4), { frames: 5 })).toEqual([]);
  expect(found(steps(0, 0.5, 1, 1.5, 2), { frames: 5 })[0]).toMatchObject({ kind: 'speed', views: [0] });
  expect(found(steps(0, 0.01, 0.02, 0.9, 0.91, 0.92), { frames: 6 })[0]).toMatchObject({
    kind: 'jump',
    frames: [2, 3],
    message: expect.stringContaining('frame 3 to 4'),
  });
  expect(kinds(listed({ moves: [{ name: 'pan', amount: 170 }] }))).toEqual(['speed']);
  expect(kinds(listed({ moves: [{ name: 'zoom', amount: 40 }] }), { frames: 4 })).toEqual(['speed']);
});

test('64 views of 1024 frames are do not freeze the editor', () => {
  const built = build({ version: 2, rig: { name: 'circle' } }, { ...settings, views: 64, frames: 1024 });
  // Generous: on an idle machine it is 150 milliseconds.
  expect(cost(() => expect(check(built)).toEqual([]))).toBeLessThan(3000);
});
