/** JavaScript and Python make the same cameras of the same texts, and refuse the same texts at the same places. */

import { describe, expect, test } from 'vitest';
import {
  DEFAULT_TEXT,
  TrajectoryError,
  VERSION,
  VIEW_COLORS,
  parse,
  stringify,
} from '../../../web/js/trajectory/document.js';
import { relativeToFirst, smallestBaseline } from '../../../web/js/trajectory/baseline.js';
import { check } from '../../../web/js/trajectory/checks.js';
import { importFiles } from '../../../web/js/trajectory/importers.js';
import { build } from '../../../web/js/trajectory/paths.js';
import * as presets from '../../../web/js/trajectory/presets.js';
import { readFileSync } from 'node:fs';
import { SCHEMA_MODULE, schemaModule } from '../make_schema.js';
import { FIXTURE } from './fixture.js';

const TOLERANCE = 1e-6;

/** Largest difference of any number of the cameras from those expected. */
function worstError(/** @type {any} */ view, /** @type {any} */ expected) {
  let worst = 0;
  expected.cameras.forEach((/** @type {any} */ row, /** @type {number} */ f) => {
    const found = [...view.c2w.subarray(16 * f, 16 * f + 12), ...view.intrinsics.subarray(4 * f, 4 * f + 4)];
    row.forEach((/** @type {any} */ value, /** @type {number} */ i) => {
      worst = Math.max(worst, Math.abs(value - found[i]));
    });
    expect([...view.c2w.subarray(16 * f + 12, 16 * f + 16)]).toEqual([0, 0, 0, 1]);
  });
  return worst;
}

describe('the cameras of Python', () => {
  test.each(/** @type {any[]} */ (FIXTURE.cases))('$name', ({ text, expected, ...settings }) => {
    for (const written of [text, stringify(parse(text))]) {
      const { views } = build(parse(written), settings);
      expect(views.map(({ name, color }) => ({ name, color }))).toEqual(
        expected.map((/** @type {any} */ { name, color }) => ({ name, color })),
      );
      views.forEach((view, v) => {
        expect(view.c2w.length).toBe(16 * settings.frames);
        expect(worstError(view, expected[v])).toBeLessThan(TOLERANCE);
      });
    }
  });

  test('every rig, move and easing is among them', () => {
    const texts = FIXTURE.cases.map((/** @type {any} */ each) => each.text).join();
    for (const name of [
      ...Object.keys(presets.RIGS),
      ...Object.keys(presets.MOVES),
      'ease-in',
      'ease-out',
      'ease-in-out',
    ]) {
      expect(texts).toContain(`"${name}"`);
    }
  });
});

describe('the files that Python reads', () => {
  test.each(/** @type {any[]} */ (FIXTURE.files))('$name', ({ name, text, expected, ...size }) => {
    const settings = { ...size, views: 0 };
    const { document, notes } = importFiles([{ name, text }], settings);
    const { views } = build(document, settings);
    expect(notes).toEqual([]);
    expect(views.map((view) => view.name)).toEqual(expected.map((/** @type {any} */ view) => view.name));
    views.forEach((view, v) => expect(worstError(view, expected[v])).toBeLessThan(TOLERANCE));
  });
});

describe('the baselines of Python', () => {
  const several = FIXTURE.cases.filter((/** @type {any} */ { expected }) => expected.length > 1);

  test.each(/** @type {any[]} */ (several))(
    '$name',
    ({ text, expected, smallest_baseline: smallest, without_baseline: without, ...settings }) => {
      const built = build(parse(text), settings);
      const world = built.views.map(({ c2w }) => c2w);
      const relative = world.map((c2w) => relativeToFirst(c2w, settings.frames));
      expect(smallestBaseline(relative, world)).toBeCloseTo(smallest, 9);
      if (expected.length > 2) return; // what is found for many pairs is told in fewer words
      const found = check(built).filter(({ kind }) => kind === 'baseline' || kind === 'rotation-only');
      expect(found.flatMap(({ frames }) => frames)).toEqual(without['0 1'].filter((/** @type {number} */ f) => f > 0));
    },
  );
});

/** What `run` throws. @param {() => unknown} run */
function refusalOf(run) {
  try {
    run();
  } catch (refusal) {
    if (refusal instanceof TrajectoryError) return refusal;
    throw refusal;
  }
  throw new Error('not refused');
}

describe('the refusals of Python', () => {
  test.each(/** @type {any[]} */ (FIXTURE.errors))('$name: $place', ({ text, place, ...settings }) => {
    const refusal = refusalOf(() => build(parse(text), settings));
    // Columns of a text that is no JSON are each reader's own; where Python names no place, there may be a line.
    const found = refusal.place.replace(/, column \d+$/, '');
    expect(place || !found.startsWith('line') ? found : '').toBe(place);
  });
});

describe('what both sides state', () => {
  test('schema.js is made of the exported schema (npm run schema)', async () => {
    expect(readFileSync(SCHEMA_MODULE, 'utf8')).toBe(await schemaModule());
  });

  test('rigs and moves', () => {
    for (const kind of ['rigs', 'moves']) {
      const known = kind === 'rigs' ? presets.RIGS : presets.MOVES;
      const ours = Object.values(known).map(({ name, description, parameters }) => ({
        name,
        description,
        parameters: parameters.map((/** @type {any} */ parameter) => [
          parameter.name,
          parameter.unit,
          parameter.default,
        ]),
      }));
      expect(ours).toEqual(FIXTURE.presets[kind]);
    }
  });

  test('version, default, lens, colours', () => {
    expect({
      version: VERSION,
      default_text: DEFAULT_TEXT,
      default_focal: presets.DEFAULT_FOCAL,
      colors: VIEW_COLORS,
    }).toEqual({ ...FIXTURE.presets, rigs: undefined, moves: undefined });
  });

  test('limits of parameters are those that are refused', () => {
    for (const [kind, known] of [
      ['rig', presets.RIGS],
      ['move', presets.MOVES],
    ]) {
      for (const { name, parameters } of Object.values(known)) {
        for (const parameter of parameters) {
          const made = (/** @type {any} */ value) => {
            const fields = { name, [parameter.name]: value };
            const document =
              kind === 'rig' ? { version: VERSION, rig: fields } : { version: VERSION, views: [{ moves: [fields] }] };
            return () => build(document, { views: kind === 'rig' ? 2 : 0, frames: 2, width: 8, height: 8 });
          };
          if (parameter.above !== undefined) expect(made(parameter.above)).toThrow(TrajectoryError);
          if (parameter.min !== undefined) expect(made(parameter.min - 1)).toThrow(TrajectoryError);
          if (parameter.whole) expect(made(0.5)).toThrow(TrajectoryError);
          if (parameter.above === undefined && parameter.min === undefined) expect(made(-1)).not.toThrow();
          expect(made(parameter.min ?? 1)).not.toThrow();
        }
      }
    }
  });
});
