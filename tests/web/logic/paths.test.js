import { describe, expect, test } from 'vitest';
import { easingCurve, inverse, pchip } from '../../../web/js/trajectory/interpolation.js';
import { setKeyframe, setView } from '../../../web/js/trajectory/edit.js';
import { build } from '../../../web/js/trajectory/paths.js';
import { cost, listed, path, random, randomDocument, settings, some } from './samples.js';

describe('building again', () => {
  const document = randomDocument(6, 8);

  test('an edit of one view builds that view only', () => {
    const before = build(document, settings);
    const after = build(setKeyframe(document, 2, 3, { position: [9, 9, 9] }), settings);
    before.views.forEach((view, v) => {
      if (v === 2) expect(after.views[v].c2w).not.toEqual(view.c2w);
      else expect(after.views[v].c2w).toBe(view.c2w);
    });
  });

  test('other settings are not answered from before', () => {
    for (const changed of [{ frames: 7 }, { width: 96 }]) {
      const now = { ...settings, ...changed };
      expect(build(document, now).views).toEqual(build(structuredClone(document), now).views);
    }
    const rig = { version: 2, rig: { name: 'orbit' } };
    expect(build(rig, { ...settings, views: 2 }).views).toHaveLength(2);
    expect(build(rig, { ...settings, views: 5 }).views).toHaveLength(5);
  });

  test('names and colours change without building', () => {
    const named = build(setView(document, 1, { name: 'x', color: '#123456' }), settings);
    expect(named.views[1]).toMatchObject({ name: 'x', color: '#123456' });
  });
});

describe('when the camera is at its keyframes', () => {
  test('each is passed at the frame that is said', () => {
    for (const easing of [
      'linear',
      'ease-in',
      'ease-out',
      'ease-in-out',
      [
        [0.3, 0.1],
        [0.6, 0.9],
      ],
    ]) {
      for (const { keyframes } of randomDocument(4, 5, 7).views) {
        const fine = { ...settings, frames: 2001 };
        const [view] = build(listed({ easing, keyframes }), fine).views;
        some(view.keyframes).forEach((keyframe, k) => {
          const at = 16 * Math.round(keyframe.frame);
          for (const i of [3, 7, 11]) {
            expect(Math.abs(view.c2w[at + i] - keyframes[k].position[(i - 3) / 4])).toBeLessThan(0.02);
          }
        });
        expect(some(view.keyframes)[0].frame).toBe(0);
        expect(some(some(view.keyframes).at(-1)).frame).toBeCloseTo(2000, 3);
      }
    }
  });

  test('all of them at once where nothing moves, or in a single frame', () => {
    const still = build(path({ position: [1, 2, 3] }, { position: [1, 2, 3] }), settings).views[0];
    expect(some(still.keyframes).map(({ frame }) => frame)).toEqual([0, 0]);
    expect(
      build(path({ position: [0, 0, 0] }, { position: [1, 0, 0] }), { ...settings, frames: 1 }).views[0].c2w[3],
    ).toBe(0);
  });
});

describe('curves', () => {
  test('an easing curve meets its points and never goes back', () => {
    const next = random(5);
    for (let n = 0; n < 50; n++) {
      const count = 1 + Math.floor(next() * 6);
      const sorted = () => Array.from({ length: count }, () => 0.01 + 0.98 * next()).sort((a, b) => a - b);
      const [times, ways] = [sorted(), sorted()];
      const curve = easingCurve(times.map((time, i) => [time, ways[i]]));
      [[0, 0], [1, 1], ...times.map((time, i) => [time, ways[i]])].forEach(([time, way]) =>
        expect(curve(time)).toBeCloseTo(way, 12),
      );
      for (let i = 0; i < 200; i++) expect(curve((i + 1) / 200)).toBeGreaterThanOrEqual(curve(i / 200) - 1e-15);
      for (const way of ways) expect(curve(inverse(curve, way))).toBeCloseTo(way, 9);
    }
  });

  test('two points are a straight line', () => expect(pchip([0, 2], [1, 5], 0.5)).toBe(2));
});

test('a path of 1000 keyframes and six views of 32 frames do not freeze the editor', () => {
  const six = randomDocument(6, 8);
  const long = randomDocument(1, 1000);
  const each = (/** @type {any} */ document) => {
    const run = () => build(structuredClone(document), { ...settings, frames: 32 });
    run();
    return cost(() => Array.from({ length: 5 }, run)) / 5;
  };
  // Generous: on an idle machine it is 2 and 10 milliseconds.
  expect(each(six)).toBeLessThan(40);
  expect(each(long)).toBeLessThan(200);
});
