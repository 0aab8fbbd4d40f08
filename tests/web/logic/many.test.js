/** Edits of several keyframes at once, whole paths, cameras around a subject, and the commands that respect the lock. */

import { describe, expect, test } from 'vitest';
import * as commands from '../../../web/js/editor/session/commands.js';
import { check } from '../../../web/js/trajectory/checks.js';
import { parse, stringify } from '../../../web/js/trajectory/document.js';
import * as edit from '../../../web/js/trajectory/edit.js';
import { poseOf } from '../../../web/js/trajectory/keyframes.js';
import { build } from '../../../web/js/trajectory/paths.js';
import { surround } from '../../../web/js/trajectory/surround.js';
import { frozen, listed, randomDocument, settings } from './samples.js';

const AIM = [0, 0, 1];
const START = { position: [0, 0, 0], look_at: AIM };
const pair = listed(
  { name: 'a', keyframes: [START, { position: [1, 0, 0], look_at: AIM }] },
  { name: 'b', keyframes: [START, { position: [-1, 0, 0], look_at: [5, 5, 5] }] },
);
const document = randomDocument(4, 5);
const positions = (/** @type {any} */ made, view = 0) =>
  made.views[view].keyframes.map((/** @type {any} */ { position }) => position);
const near = (/** @type {any} */ found, /** @type {any} */ expected, digits = 6) => {
  expect(found).toHaveLength(expected.length);
  found.forEach((/** @type {number} */ value, /** @type {number} */ i) =>
    expect(value).toBeCloseTo(expected[i], digits),
  );
};
/** @returns {any} what a command gets */
const context = (/** @type {any} */ made, more = {}) => ({
  document: made,
  settings,
  built: build(made, { ...settings, views: made.rig ? 3 : 0 }),
  selection: { view: 0, key: 0, others: [] },
  locked: false,
  frame: 0,
  ...more,
});
const documentOf = (/** @type {any} */ outcome) => outcome.document ?? outcome;

describe('a target', () => {
  const targets = (/** @type {any} */ made) =>
    made.views.map((/** @type {any} */ { keyframes }) => keyframes.map((/** @type {any} */ key) => key.look_at));

  test('that views share moves for all of them', () => {
    expect(targets(edit.moveTarget(pair, 0, 1, [0, 0, 2], true))).toEqual([
      [
        [0, 0, 2],
        [0, 0, 2],
      ],
      [
        [0, 0, 2],
        [5, 5, 5],
      ],
    ]);
  });

  test('alone, only that of one keyframe', () => {
    expect(targets(edit.moveTarget(pair, 0, 1, [0, 0, 2], false))).toEqual([
      [AIM, [0, 0, 2]],
      [AIM, [5, 5, 5]],
    ]);
  });
});

describe('several keyframes', () => {
  test('move by the same, of any view; their targets stay', () => {
    const places = [
      { view: 0, key: 1 },
      { view: 1, key: 0 },
    ];
    const moved = edit.moveKeyframes(pair, places, [0, 0.5, 0]);
    expect(positions(moved)).toEqual([
      [0, 0, 0],
      [1, 0.5, 0],
    ]);
    expect(positions(moved, 1)).toEqual([
      [0, 0.5, 0],
      [-1, 0, 0],
    ]);
    expect(moved.views?.[0].keyframes?.[1].look_at).toBe(AIM);
  });

  test('are deleted together, whatever their order; one of a path is left', () => {
    const places = [
      { view: 0, key: 1 },
      { view: 0, key: 3 },
      { view: 2, key: 0 },
    ];
    const left = edit.deleteKeyframes(document, places);
    expect(positions(left)).toEqual(
      positions(document).filter((/** @type {any} */ _, /** @type {number} */ k) => k !== 1 && k !== 3),
    );
    expect(positions(left, 2)).toEqual(positions(document, 2).slice(1));
    expect(() => edit.deleteKeyframes(pair, edit.placesOf(pair))).toThrow('at least one keyframe');
  });

  test('selected, move as one command; locked starts go along', () => {
    const selection = { view: 0, key: 0, others: [{ view: 0, key: 1 }] };
    const by = [0.1, 0, 0.2];
    const free = documentOf(commands.moveSelected(context(pair, { selection }), by));
    expect([positions(free)[0], positions(free, 1)[0]]).toEqual([by, [0, 0, 0]]);
    const locked = documentOf(commands.moveSelected(context(pair, { selection, locked: true }), by));
    expect([positions(locked)[0], positions(locked, 1)[0]]).toEqual([by, by]);
  });
});

describe('a whole path', () => {
  test.each([0, 1, 2, 3])('turned and scaled about its start is the same path, seen from there (view %i)', (view) => {
    const rotation = edit.rotationOfTurns([70, 0, 0]);
    const turned = edit.transformPath(document, view, { rotation, factor: 2 });
    const [before, after] = [document, turned].map((made) => build(parse(stringify(made)), settings).views[view].c2w);
    const local = (/** @type {Float64Array} */ c2w, /** @type {number} */ f) => {
      const away = [3, 7, 11].map((i) => c2w[16 * f + i] - c2w[i]);
      return [0, 1, 2].map((axis) => [0, 4, 8].reduce((sum, row, i) => sum + c2w[row + axis] * away[i], 0));
    };
    for (const f of [3, 9, 15]) {
      near(
        local(after, f),
        local(before, f).map((value) => 2 * value),
        4,
      );
    }
    near(positions(turned, view)[0], positions(document, view)[0]);
  });

  test('a tilt or roll makes rotations of targets, for a camera that looks at one is upright', () => {
    const rolled = edit.transformPath(pair, 0, { rotation: edit.rotationOfTurns([0, 0, 30]) });
    const [key] = rolled.views?.[0].keyframes ?? [];
    expect(key.look_at).toBeUndefined();
    expect(edit.turnsOf(key)[2]).toBeCloseTo(30, 6);
    const panned = edit.transformPath(pair, 0, { rotation: edit.rotationOfTurns([90, 0, 0]) });
    near(panned.views?.[0].keyframes?.[1].look_at, [1, 0, 0]);
    near(positions(panned)[1], [0, 0, -1]);
  });

  test('shifted, it takes its targets along', () => {
    const shifted = edit.offsetView(pair, 0, [0, 0, 1]);
    expect(shifted.views?.[0].keyframes).toEqual([
      { position: [0, 0, 1], look_at: [0, 0, 2] },
      { position: [1, 0, 1], look_at: [0, 0, 2] },
    ]);
  });

  test('under the lock the start stays, and a shift takes all views along', () => {
    const locked = context(pair, { locked: true });
    const bigger = documentOf(
      commands.transformPath(locked, 0, { factor: 3, rotation: edit.rotationOfTurns([0, 0, 40]) }),
    );
    expect(poseOf(bigger.views[0].keyframes[0])).toEqual(poseOf(START));
    expect(positions(bigger, 1)).toEqual(positions(pair, 1));
    const shifted = documentOf(commands.transformPath(locked, 0, { shift: [1, 0, 0] }));
    expect([positions(shifted)[0], positions(shifted, 1)[0]]).toEqual([
      [1, 0, 0],
      [1, 0, 0],
    ]);
  });
});

test('views are added and deleted up to the wanted number', () => {
  const five = documentOf(commands.setViewCount(context(pair), 5));
  expect(five.views).toHaveLength(5);
  expect(check(build(five, settings)).filter(({ kind }) => kind === 'baseline')).toEqual([]);
  expect(documentOf(commands.setViewCount(context(pair), 1)).views).toHaveLength(1);
  const rig = frozen({ version: 2, rig: { name: 'orbit' } });
  expect(
    documentOf(commands.setViewCount(context(rig, { settings: { ...settings, views: 3 } }), 4)).views,
  ).toHaveLength(4);
});

describe('cameras around a subject', () => {
  const away = (/** @type {Float64Array} */ c2w, /** @type {number} */ f) =>
    Math.hypot(c2w[16 * f + 3], c2w[16 * f + 7], c2w[16 * f + 11] - 1);

  test.each([
    [2, 90],
    [5, 180],
    [8, 360],
  ])('%i views over %i degrees: one start, then each stands at its place', (views, angle) => {
    const made = build(parse(stringify(surround({ views, angle, leadIn: 0.5 }))), { ...settings, frames: 21 });
    expect(check(made).filter(({ kind }) => kind === 'first-pose')).toEqual([]);
    const bearings = made.views.map(({ c2w }) => {
      for (const f of [10, 15, 20]) near(c2w.subarray(16 * f, 16 * f + 16), [...c2w.subarray(16 * 20, 16 * 21)]);
      for (let f = 0; f < 21; f++) expect(Math.abs(away(c2w, f) - 1)).toBeLessThan(0.08);
      return (Math.atan2(c2w[16 * 20 + 3], 1 - c2w[16 * 20 + 11]) * 180) / Math.PI;
    });
    const sorted = bearings.sort((a, b) => a - b);
    for (let v = 1; v < views; v++) {
      expect(sorted[v] - sorted[v - 1]).toBeCloseTo(angle === 360 ? 360 / views : angle / (views - 1), 4);
    }
  });

  test('without a lead-in they stand there from the first frame, which the check of first poses says', () => {
    const made = build(surround({ views: 4, angle: 360, leadIn: 0 }), settings);
    expect(check(made).map(({ kind }) => kind)).toContain('first-pose');
    for (const { c2w } of made.views) near(c2w.subarray(0, 16), [...c2w.subarray(16 * 15, 16 * 16)]);
  });
});
