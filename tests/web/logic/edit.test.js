/** Edits give a new document that builds, and leave the old one (which is frozen here) as it was. */

import { describe, expect, test } from 'vitest';
import { parse, stringify } from '../../../web/js/trajectory/document.js';
import * as edit from '../../../web/js/trajectory/edit.js';
import { poseOf } from '../../../web/js/trajectory/keyframes.js';
import { build } from '../../../web/js/trajectory/paths.js';
import { MOVES, RIGS } from '../../../web/js/trajectory/presets.js';
import { differences, frozen, listed, path, random, randomDocument, settings, some } from './samples.js';

const START = { position: [0, 0, 0], look_at: [0, 0, 1] };
const document = randomDocument(4, 5);
const keys = (/** @type {any} */ made, view = 0) => made.views[view].keyframes;
const made = (/** @type {any} */ edited) => build(parse(stringify(edited)), settings);
const near = (/** @type {any} */ found, /** @type {any} */ expected, digits = 6) => {
  expect(found).toHaveLength(expected.length);
  found.forEach((/** @type {any} */ value, /** @type {number} */ i) => expect(value).toBeCloseTo(expected[i], digits));
};

describe('keyframes', () => {
  test('a rotation takes the place of a target, and the other way round', () => {
    const turned = edit.setKeyframe(path(START), 0, 0, { rotation: [0, 0, 0, 1] });
    expect(keys(turned)[0]).toEqual({ position: [0, 0, 0], rotation: [0, 0, 0, 1] });
    expect(keys(edit.setKeyframe(turned, 0, 0, { look_at: [1, 0, 0] }))[0]).toEqual({
      position: [0, 0, 0],
      look_at: [1, 0, 0],
    });
    expect(keys(edit.setKeyframe(path({ ...START, focal: 2 }), 0, 0, { focal: undefined }))[0]).toEqual(START);
  });

  test('numbers are written to the ninth decimal', () => {
    expect(keys(edit.setKeyframe(path(START), 0, 0, { position: [0.1 + 0.2, -1e-12, 1e7 / 3] }))[0].position).toEqual([
      0.3,
      0,
      1e7 / 3,
    ]);
  });

  test('other views and keyframes are the same objects', () => {
    const edited = edit.setKeyframe(document, 1, 2, { position: [1, 1, 1] });
    expect(some(edited.views)[0]).toBe(document.views[0]);
    expect(keys(edited, 1)[3]).toBe(keys(document, 1)[3]);
  });

  test('pan, tilt and roll are read and written', () => {
    const next = random(2);
    for (let n = 0; n < 50; n++) {
      const turns = [next() * 300 - 150, next() * 170 - 85, next() * 300 - 150];
      near(edit.turnsOf(keys(edit.turnKeyframe(path(START), 0, 0, turns))[0]), turns);
    }
    near(edit.turnsOf({ position: [0, 0, 0], look_at: [1, 0, 1] }), [45, 0, 0]);
    near(edit.turnsOf({ position: [0, 0, 0], look_at: [0, -1, 0] }), [0, 90, 0]);
  });

  test('moves of Python turn the same way', () => {
    const moves = [
      ['pan', 0],
      ['tilt', 1],
      ['roll', 2],
    ];
    for (const [name, axis] of moves) {
      const turns = [0, 0, 0].map((_, i) => (i === axis ? 25 : 0));
      const turned = edit.turnKeyframe(path(START), 0, 0, turns);
      const moved = build(listed({ moves: [{ name, amount: 25 }] }), settings).views[0].c2w.subarray(16 * 15);
      near(poseOf(keys(turned)[0]), [...moved]);
    }
  });

  test('aiming keeps the roll, rolling keeps the aim', () => {
    const start = edit.turnKeyframe(path(START), 0, 0, [10, 5, 30]);
    const aimed = edit.aimKeyframe(start, 0, 0, [3, -1, 2]);
    const pose = poseOf(keys(aimed)[0]);
    const far = Math.hypot(3, -1, 2);
    near([pose[2], pose[6], pose[10]], [3 / far, -1 / far, 2 / far]);
    expect(edit.turnsOf(keys(aimed)[0])[2]).toBeCloseTo(30, 6);
    const rolled = edit.rollKeyframe(aimed, 0, 0, [pose[0], pose[4], pose[8]]);
    const after = poseOf(keys(rolled)[0]);
    near([after[2], after[6], after[10]], [pose[2], pose[6], pose[10]]);
    near([-after[1], -after[5], -after[9]], [pose[0], pose[4], pose[8]]);
    expect(edit.aimKeyframe(start, 0, 0, [0, 0, 0])).toBe(start);
  });

  test('a camera that gets or loses its target looks where it looked', () => {
    const turned = edit.turnKeyframe(path(START), 0, 0, [30, -10, 0]);
    const aimed = edit.setAim(turned, 0, 0, true);
    near(poseOf(keys(aimed)[0]), poseOf(keys(turned)[0]));
    const freed = edit.setAim(aimed, 0, 0, false);
    expect(keys(freed)[0].look_at).toBeUndefined();
    near(poseOf(keys(freed)[0]), poseOf(keys(turned)[0]));
  });

  test('a target that keyframes share moves for all of them, or alone', () => {
    const shared = path(
      START,
      { position: [1, 0, 0], look_at: [0, 0, 1] },
      { position: [2, 0, 0], look_at: [9, 9, 9] },
    );
    const targets = (/** @type {any} */ edited) => keys(edited).map((/** @type {any} */ keyframe) => keyframe.look_at);
    expect(targets(edit.moveTarget(shared, 0, 1, [5, 5, 5], true))).toEqual([
      [5, 5, 5],
      [5, 5, 5],
      [9, 9, 9],
    ]);
    expect(targets(edit.moveTarget(shared, 0, 1, [5, 5, 5], false))).toEqual([
      [0, 0, 1],
      [5, 5, 5],
      [9, 9, 9],
    ]);
  });

  test('one is added where the camera is, and is passed at that frame', () => {
    for (const view of [0, 1, 2, 3]) {
      for (const frame of [3.5, 8, 14.2]) {
        const before = build(document, { ...settings, frames: 151 }).views[view];
        const added = edit.addKeyframe(document, view, frame, settings);
        expect(keys(added.document, view)).toHaveLength(6);
        const at = 16 * Math.round(frame * 10);
        near(poseOf(keys(added.document, view)[added.key]), [...before.c2w.subarray(at, at + 16)], 5);
        made(added.document);
      }
    }
    const even = path({ position: [0, 0, 0] }, { position: [1, 0, 0] }, { position: [1, 2, 0] });
    const { document: four, key } = edit.addKeyframe(even, 0, 4, settings);
    expect(some(made(four).views[0].keyframes)[key].frame).toBeCloseTo(4, 0);
  });

  test('where one is already, that one is taken', () => {
    const timed = path(
      { position: [0, 0, 0], time: 0 },
      { position: [1, 0, 0], time: 5 },
      { position: [2, 1, 0], time: 15 },
    );
    for (const [frame, key] of [
      [0, 0],
      [5, 1],
      [15, 2],
      [99, 2],
      [-1, 0],
    ]) {
      expect(edit.addKeyframe(timed, 0, frame, settings)).toEqual({ document: timed, key });
    }
    expect(keys(edit.addKeyframe(path(START), 0, 7, settings).document)).toEqual([START, START]);
  });

  test('deleted and duplicated', () => {
    expect(keys(edit.deleteKeyframe(document, 0, 1))).toEqual(keys(document).toSpliced(1, 1));
    expect(() => edit.deleteKeyframe(path(START), 0, 0)).toThrow('at least one keyframe');
    const timed = path({ ...START, time: 0 }, { ...START, time: 4 });
    expect(keys(edit.duplicateKeyframe(timed, 0, 0)).map((/** @type {any} */ { time }) => time)).toEqual([0, 2, 4]);
    expect(keys(edit.duplicateKeyframe(timed, 0, 1)).map((/** @type {any} */ { time }) => time)).toEqual([0, 4, 8]);
    expect(
      keys(edit.duplicateKeyframe(path({ ...START, time: 3 }), 0, 0)).map((/** @type {any} */ { time }) => time),
    ).toEqual([3, 4]);
    expect(keys(edit.duplicateKeyframe(path(START), 0, 0))).toEqual([START, START]);
  });

  test('a keyframe is reached at the frame it is dragged to, between its neighbours', () => {
    for (const view of [0, 1, 2, 3]) {
      const moved = edit.retimeKeyframe(document, view, 2, 7.25, settings);
      expect(some(made(moved).views[view].keyframes)[2].frame).toBeCloseTo(7.25, 4);
      const far = made(edit.retimeKeyframe(document, view, 2, 99, settings)).views[view].keyframes;
      expect(some(far)[2].frame).toBeLessThan(some(far)[3].frame);
    }
    const eased = listed({ ...document.views[0], easing: [[0.5, 0.2]] });
    expect(some(made(edit.retimeKeyframe(eased, 0, 1, 5, settings)).views[0].keyframes)[1].frame).toBeCloseTo(5, 4);
    expect(edit.retimeKeyframe(document, 0, 0, 5, settings)).toBe(document);
    expect(edit.retimeKeyframe(document, 0, 4, 5, settings)).toBe(document);
    const repeated = path(START, START, START, { position: [1, 0, 0] });
    expect(() => made(edit.retimeKeyframe(repeated, 0, 1, 3, settings))).not.toThrow();
  });

  test('times are given to all keyframes and taken from all', () => {
    const even = path(START, { position: [1, 0, 0] }, { position: [3, 0, 0] });
    expect(keys(edit.setTime(even, 0, 2, 20, settings)).map((/** @type {any} */ { time }) => time)).toEqual([0, 5, 20]);
    expect(keys(edit.setTime(edit.setTime(even, 0, 2, 20, settings), 0, 1, null, settings))).toEqual(keys(even));
    expect(() => made(edit.setTime(even, 0, 1, -1, settings))).toThrow('numbers that increase');
  });

  test('an easing becomes points to draw with', () => {
    expect(edit.curveOf('ease-in')).toEqual([
      [0.25, 0.0625],
      [0.5, 0.25],
      [0.75, 0.5625],
    ]);
    expect(edit.curveOf([[0.5, 0.1]])).toEqual([[0.5, 0.1]]);
    expect(() => made(listed({ easing: edit.curveOf('ease-out'), keyframes: [START] }))).not.toThrow();
  });
});

describe('views', () => {
  test('are added with names and colours of their own, and deleted without renaming the others', () => {
    const two = listed({ keyframes: [START, { position: [1, 0, 0] }] }, { name: 'a', keyframes: [START] });
    const four = edit.addView(edit.addView(two), 1);
    expect(made(four).views.map(({ name }) => name)).toEqual(['view0', 'a', 'view2', 'a 2']);
    expect(new Set(made(four).views.map(({ color }) => color)).size).toBe(4);
    expect(keys(four, 2)[0]).toEqual(START);
    const rest = edit.deleteView(four, 0);
    expect(made(rest).views.map(({ name, color }) => [name, color])).toEqual(
      made(four)
        .views.slice(1)
        .map(({ name, color }) => [name, color]),
    );
    expect(() => edit.deleteView(listed({ keyframes: [START] }), 0)).toThrow('at least one view');
  });

  test('mirroring twice changes nothing, and the first camera stays', () => {
    for (const axis of [0, 1, 2]) {
      for (const view of [0, 1, 2, 3]) {
        const once = edit.mirrorView(document, view, axis);
        expect(keys(once, view)[0]).toBe(keys(document, view)[0]);
        const free = keys(document, view).every((/** @type {any} */ keyframe) => !keyframe.look_at);
        if (free) {
          expect(differences(made(edit.mirrorView(once, view, axis)), made(document)).position).toBeLessThan(1e-6);
        }
      }
    }
  });

  test('left and right, up and down, forward and back are swapped as the first camera sees them', () => {
    const moves = path(START, { position: [0.3, 0.1, 0.4], look_at: [0, 0, 1] });
    expect(keys(edit.mirrorView(moves, 0, 0))[1]).toEqual({ position: [-0.3, 0.1, 0.4], look_at: [0, 0, 1] });
    expect(keys(edit.mirrorView(moves, 0, 1))[1]).toEqual({ position: [0.3, -0.1, 0.4], look_at: [0, 0, 1] });
    expect(keys(edit.mirrorView(moves, 0, 2))[1]).toEqual({ position: [0.3, 0.1, -0.4], look_at: [0, 0, 1] });
    // Looks right, so that its right is back.
    const aside = { position: [0, 0, 0], rotation: [0, Math.SQRT1_2, 0, Math.SQRT1_2] };
    near(keys(edit.mirrorView(path(aside, { position: [1, 0, 2] }), 0, 0))[1].position, [1, 0, -2]);
    const turned = edit.mirrorView(
      path({ position: [0, 0, 0] }, { position: [0, 0, 0], rotation: [0, 0.2, 0, 1] }),
      0,
      0,
    );
    near(edit.turnsOf(keys(turned)[1]), [-2 * Math.atan(0.2) * (180 / Math.PI), 0, 0]);
  });

  test('an offset moves cameras and targets', () => {
    const moved = edit.offsetView(path(START, { position: [1, 0, 0], rotation: [0, 0, 0, 1] }), 0, [0, 1, 2]);
    expect(keys(moved)).toEqual([{ position: [0, 1, 2], look_at: [0, 1, 3] }, { position: [1, 1, 2] }]);
  });

  test('a path is copied with its easing and lens, not its name', () => {
    const copied = edit.copyPath(
      listed({ name: 'a', focal: 2, easing: 'ease-in', keyframes: [START] }, { name: 'b', moves: [{ name: 'pan' }] }),
      0,
      1,
    );
    expect(some(copied.views)[1]).toEqual({ name: 'b', focal: 2, easing: 'ease-in', keyframes: [START] });
  });

  test('first poses are made one: keyframes alone, or whole paths with their own motion', () => {
    const first = (/** @type {any} */ built) =>
      built.views.map((/** @type {any} */ { c2w, intrinsics }) => [...c2w.subarray(0, 16), intrinsics[0]]);
    for (const run of [edit.lockFirstPose, edit.alignStarts]) {
      const locked = made(run(document, 2));
      first(locked).forEach((/** @type {any} */ pose) => near(pose, first(made(document))[2]));
    }
    expect(keys(edit.lockFirstPose(document, 2), 0)[1]).toBe(keys(document, 0)[1]);
    const relative = (/** @type {any} */ built, /** @type {number} */ v) => {
      const [a, b] = [built.views[v].c2w.subarray(0, 16), built.views[v].c2w.subarray(16 * 15)];
      return Math.hypot(a[3] - b[3], a[7] - b[7], a[11] - b[11]);
    };
    const aligned = made(edit.alignStarts(document, 2));
    for (const v of [0, 1, 3]) expect(relative(aligned, v)).toBeCloseTo(relative(made(document), v), 5);
  });

  test('rigs and moves', () => {
    const rig = edit.applyRig(
      { version: 2, rig: { name: 'circle', distance: 3, focal: 2, easing: 'ease-in' } },
      'orbit',
    );
    expect(rig).toEqual({ version: 2, rig: { name: 'orbit', focal: 2, easing: 'ease-in' } });
    expect(edit.setRig(rig, { angle: 20, focal: undefined }).rig).toEqual({
      name: 'orbit',
      easing: 'ease-in',
      angle: 20,
    });
    const pan = edit.applyMove(document, 0, 'pan');
    expect(some(pan.views)[0]).toEqual({ name: 'view 0', moves: [{ name: 'pan' }] });
    const both = edit.setMove(edit.applyMove(pan, 0, 'truck'), 0, 1, { amount: 2 });
    expect(some(both.views)[0].moves).toEqual([{ name: 'pan' }, { name: 'truck', amount: 2 }]);
    expect(edit.deleteMove(both, 0, 0).views?.[0].moves).toEqual([{ name: 'truck', amount: 2 }]);
    expect(() => edit.deleteMove(pan, 0, 0)).toThrow('at least one move');
  });
});

describe('paths as keyframes', () => {
  const same = (/** @type {any} */ before, /** @type {any} */ after, /** @type {number} */ views) => {
    const found = differences(build(before, { ...settings, views }), made(after));
    expect(found.position).toBeLessThan(2e-3);
    expect(found.angle).toBeLessThan(2e-3);
    expect(found.focal).toBeLessThan(2e-3);
  };

  test.each(Object.keys(RIGS))('rig %s, with any easing', (name) => {
    for (const easing of [
      undefined,
      'ease-in-out',
      [
        [0.4, 0.1],
        [0.5, 0.9],
      ],
    ]) {
      const rig = frozen({ version: 2, rig: edit.put({ name, focal: 1.3 }, { easing }) });
      const baked = edit.bake(rig, { ...settings, views: 5 });
      expect(some(baked.views).every((view) => some(view.keyframes).length <= 3)).toBe(true);
      expect(some(baked.views)[0].easing).toEqual(easing);
      same(rig, baked, 5);
    }
  });

  test.each(Object.keys(MOVES))('move %s', (name) => {
    const moves = listed(
      { name: 'a', easing: 'ease-out', moves: [{ name }] },
      { name: 'b', moves: [{ name }, { name: 'truck', easing: 'ease-in' }] },
    );
    same(moves, edit.bake(moves, settings), 0);
    expect(edit.bake(moves, settings, 1).views?.[0]).toBe(moves.views[0]);
  });

  test('an orbit keeps looking at its target', () => {
    const orbit = listed({ moves: [{ name: 'orbit', amount: 90, elevation: 20, distance: 2 }] });
    keys(edit.bake(orbit, settings)).forEach((/** @type {any} */ keyframe) => near(keyframe.look_at, [0, 0, 2]));
  });

  test('a stroke becomes few keyframes that follow it, however it trembles', () => {
    const next = random(9);
    const stroke = Array.from({ length: 300 }, (_, i) => {
      const a = (i / 299) * Math.PI;
      return [1 - Math.cos(a) + 0.004 * next(), 0.5, Math.sin(a) + 0.004 * next()];
    });
    const drawn = edit.drawFreehand(path({ ...START, focal: 2 }, { position: [7, 7, 7] }), 0, stroke, {
      keepStart: false,
    });
    expect(keys(drawn).length).toBeLessThan(8);
    expect(keys(drawn)[0].focal).toBe(2);
    const { c2w } = made(drawn).views[0];
    for (let f = 0; f < 16; f++) {
      expect(Math.abs(Math.hypot(c2w[16 * f + 3] - 1, c2w[16 * f + 11]) - 1)).toBeLessThan(0.05);
      expect(c2w[16 * f + 7]).toBeCloseTo(0.5, 6);
    }
    const kept = edit.drawFreehand(path(START), 0, stroke, { keepStart: true });
    expect(keys(kept)[0]).toEqual(START);
    expect(keys(kept).at(-1)).toMatchObject({
      position: [expect.closeTo(2, 1), expect.closeTo(0, 6), expect.closeTo(0, 1)],
      look_at: [0, 0, 1],
    });
  });

  test('a click is no stroke', () => {
    const start = path(START);
    for (const stroke of [
      [[1, 1, 1]],
      [
        [1, 1, 1],
        [1, 1, 1],
        [1, 1, 1],
      ],
    ]) {
      expect(edit.drawFreehand(start, 0, stroke, { keepStart: false })).toBe(start);
    }
  });
});
