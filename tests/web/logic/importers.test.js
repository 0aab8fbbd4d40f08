import { describe, expect, test } from 'vitest';
import { TrajectoryError, parse, stringify } from '../../../web/js/trajectory/document.js';
import { exportCameras, importFiles } from '../../../web/js/trajectory/importers.js';
import { build } from '../../../web/js/trajectory/paths.js';
import { FIXTURE } from './fixture.js';
import { differences, listed, settings, some } from './samples.js';

const RIG = { version: 2, rig: { name: 'orbit', focal: 1.1 } };
const ROW = '0 0.5 0.9 0.5 0.5 0 0 1 0 0 0 0 1 0 0 0 0 1 0';
const imported = (/** @type {string} */ text, name = 'shot.txt') => importFiles([{ name, text }], settings);
const transforms = (/** @type {any[]} */ ...frames) => JSON.stringify({ w: 64, h: 48, fl_x: 60, frames });
const IDENTITY = [
  [1, 0, 0, 0],
  [0, 1, 0, 0],
  [0, 0, 1, 0],
  [0, 0, 0, 1],
];

describe('out and in again', () => {
  test.each(/** @type {const} */ (['nerfstudio', 'realestate10k']))('%s', (format) => {
    const moving = listed(
      { name: 'a', moves: [{ name: 'orbit' }, { name: 'zoom' }] },
      { name: 'b', moves: [{ name: 'handheld', amount: 0.3 }] },
    );
    const built = build(moving, settings);
    const files = exportCameras(built, settings, format);
    expect(files.map(({ name }) => name)).toEqual(
      format === 'nerfstudio' ? ['transforms.json'] : ['trajectory_a.txt', 'trajectory_b.txt'],
    );
    const { document, notes } = importFiles(files, settings);
    const again = build(parse(stringify(document)), settings);
    expect(again.views.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(notes).toEqual([]);
    const { position, angle, focal } = differences(again, built);
    expect(Math.max(position, angle, focal)).toBeLessThan(1e-7);
  });

  test('names that are no file names are refused', () => {
    for (const name of ['a/b', '..', 'x:y', ' a', 'a\nb', '<b>']) {
      const built = build(listed({ name, moves: [{ name: 'pan' }] }), settings);
      expect(() => exportCameras(built, settings, 'realestate10k')).toThrow('cannot be part of a file name');
    }
    const alike = build(
      listed({ name: 'A', moves: [{ name: 'pan' }] }, { name: 'a', moves: [{ name: 'pan' }] }),
      settings,
    );
    expect(() => exportCameras(alike, settings, 'nerfstudio')).toThrow('two views are called');
  });
});

describe('what becomes of files', () => {
  test('a trajectory stays what it is', () => {
    expect(importFiles([{ name: 'x.json', text: JSON.stringify(RIG) }], settings).document).toEqual(RIG);
    expect(() => importFiles([{ name: 'x.json', text: JSON.stringify({ ...RIG, version: 9 }) }], settings)).toThrow(
      'x.json: trajectory JSON is version 9',
    );
  });

  test('several files are one trajectory, and no name is taken twice', () => {
    const file = FIXTURE.files[0];
    const views = JSON.stringify(listed({ name: 'wide', moves: [{ name: 'pan' }] }));
    const { document } = importFiles([file, file, { name: 'views.json', text: views }], settings);
    expect(some(document.views).map(({ name }) => name)).toEqual(['wide', 'wide 2', 'wide 3']);
    expect(() => importFiles([file, { name: 'r.json', text: JSON.stringify(RIG) }], settings)).toThrow(
      'import it alone',
    );
  });

  test("a single camera has no time; a constant lens is the view's", () => {
    const { document } = imported(ROW);
    expect(some(document.views)[0]).toEqual({ name: 'shot', focal: 0.675, keyframes: [{ position: [0, 0, 0] }] });
  });

  test.each([
    ['0bf152ef84195293.txt', '0bf152ef84195293'],
    ['camera_trajectory_of_the_garden_take_03.txt', 'garden_take_03'],
    ['0123456789abcdef0123456789abcdef.txt', '0123456789abcdef'],
  ])('the view of %s is called %s', (file, name) => {
    expect(imported(ROW, file).document.views?.[0].name).toBe(name);
  });

  test('lens distortion is left out, and mentioned', () => {
    const plain = imported(transforms({ transform_matrix: IDENTITY }));
    const distorted = imported(transforms({ transform_matrix: IDENTITY, k1: 0.1 }));
    expect(distorted.document).toEqual(plain.document);
    expect(plain.notes).toEqual([]);
    expect(distorted.notes).toEqual([expect.stringContaining('the lens distortion is left out')]);
  });

  test('a principal point off the middle is mentioned', () => {
    expect(imported(ROW.replace('0.5 0.5 0 0', '0.47 0.5 0 0')).notes).toEqual([
      expect.stringContaining('"shot" is up to 3 % off the middle'),
    ]);
  });

  test('frames without a view are in the natural order of their pictures', () => {
    const at = (/** @type {string} */ file_path, /** @type {number} */ x) => ({
      file_path,
      transform_matrix: IDENTITY.map((row, i) => (i === 0 ? [1, 0, 0, x] : row)),
    });
    const { document } = importFiles(
      [
        {
          name: 'x.json',
          text: transforms(at('images/10.png', 0.3), at('images/9.png', 0.2), at('images/1.png', 0.1)),
        },
      ],
      settings,
    );
    const x = some(build(parse(stringify(document)), { ...settings, frames: 3 }).views[0]).c2w;
    const steps = [x[3], x[19], x[35]].map((value) => Number(value));
    expect(steps[1] - steps[0]).toBeCloseTo(0.1, 6);
    expect(steps[2] - steps[1]).toBeCloseTo(0.1, 6);
  });

  test('pictures in several folders are a question, not one path', () => {
    const text = transforms(
      { file_path: 'cam0/1.png', transform_matrix: IDENTITY },
      { file_path: 'cam1/1.png', transform_matrix: IDENTITY },
    );
    expect(() => importFiles([{ name: 'x.json', text }], settings)).toThrow('in 2 folders, which may be several views');
  });

  test('views and frames of transforms.json may come in any order', () => {
    const frame = (/** @type {any} */ view, /** @type {number} */ number, /** @type {number} */ x) => ({
      view,
      frame: number,
      transform_matrix: IDENTITY.map((row, i) => (i === 0 ? [1, 0, 0, x] : row)),
    });
    const { document } = imported(
      transforms(frame('b', 1, 4), frame('a', 5, 2), frame('b', 0, 3), frame('a', 4, 1)),
      't.json',
    );
    expect(
      some(document.views).map(({ name, keyframes }) => [name, some(keyframes).map(({ position }) => position[0])]),
    ).toEqual([
      ['b', [3, 4]],
      ['a', [1, 2]],
    ]);
  });

  test('the field of view gives the focal length where pixels do not', () => {
    const text = JSON.stringify({
      w: 64,
      h: 48,
      camera_angle_x: Math.PI / 2,
      frames: [{ transform_matrix: IDENTITY }],
    });
    expect(imported(text, 't.json').document.views?.[0].focal).toBeCloseTo(0.5, 9);
  });

  test('hostile names stay data', () => {
    const name = '"><img src=x onerror=alert(1)>';
    expect(imported(`view: ${name}\n${ROW}`).document.views?.[0].name).toBe(name);
    expect(imported(ROW, '../../<script>.txt').document.views?.[0].name).toBe('<script>');
    const document = imported(
      transforms({ view: '__proto__', frame: 0, transform_matrix: IDENTITY }),
      't.json',
    ).document;
    expect(some(document.views)[0].name).toBe('__proto__');
  });
});

describe('what is refused', () => {
  test.each([
    ['', 'shot.txt: the file is empty'],
    ['https://example.com/v', 'no camera poses'],
    [`${ROW}\n1 2 3`, 'line 2: 3 columns; expected 19'],
    [ROW.replace('0.9', 'x9'), 'no camera poses'],
    [`${ROW}\n${ROW.replace('0.9', 'nan')}`, 'line 2: column 3 is "nan"; expected a finite number'],
    [`${ROW}\n${ROW.replace('0.9', '0x9')}`, 'column 3'],
    [ROW.replace('0.5 0.5 0 0', '0.5 0.5 0.1 0'), 'Lens distortion is not supported'],
    [ROW.replace('1 0 0 0 0 1', '2 0 0 0 0 1'), 'not a rotation'],
    [ROW.replace('1 0 0 0 0 1', '-1 0 0 0 0 1'), 'not a rotation'],
    [ROW.replace('1 0 0 0 0 1', '0 0 0 0 0 1'), 'singular'],
    [ROW.replace('0.5 0.9', '-0.5 0.9'), 'focal length that is not positive'],
    ['{"frames"', 'not valid JSON'],
    ['{}', 'neither a trajectory nor a transforms.json'],
    ['{"frames": []}', 'neither a trajectory nor a transforms.json'],
    ['{"frames": [null], "w": 1, "h": 1}', 'frames[0]: no "transform_matrix"'],
    [transforms({ transform_matrix: [[1]] }), 'frames[0].transform_matrix: not a matrix'],
    [transforms({ transform_matrix: IDENTITY.map((row) => row.map(String)) }), 'not a matrix'],
    [transforms({ transform_matrix: [...IDENTITY.slice(0, 3), [0, 0, 1, 1]] }), 'last row'],
    [transforms({ transform_matrix: IDENTITY, k1: 'some' }), 'frames[0].k1 is "some"'],
    [transforms({ transform_matrix: IDENTITY, fl_x: 35.7, camera_angle_x: 0.86, w: 1500 }), 'contradict each other'],
    [transforms({ transform_matrix: IDENTITY, camera_model: 'OPENCV_FISHEYE' }), 'camera model "OPENCV_FISHEYE"'],
    [transforms({ transform_matrix: IDENTITY, w: 0 }), 'image size'],
    [transforms({ transform_matrix: IDENTITY, fl_x: 'wide' }), 'frames[0].fl_x is "wide"'],
    [transforms({ transform_matrix: IDENTITY, view: 'a' }), '"frame" is null'],
    [transforms({ transform_matrix: IDENTITY, view: 3, frame: 0 }), '"view" is 3'],
    [
      transforms({ transform_matrix: IDENTITY, view: 'a', frame: 0 }, { transform_matrix: IDENTITY }),
      'some frames name their "view"',
    ],
    [transforms(...[0, 0].map((frame) => ({ transform_matrix: IDENTITY, view: 'a', frame }))), 'already given'],
    [transforms(...[0, 2].map((frame) => ({ transform_matrix: IDENTITY, view: 'a', frame }))), 'has no frame 1'],
    [
      '{"w": 1, "h": 1, "frames": [{"transform_matrix": [[1,0,0,0],[0,1,0,0],[0,0,1,0]]}]}',
      'neither "fl_x" nor "camera_angle_x"',
    ],
  ])('%s', (text, message) => {
    expect(() => imported(text)).toThrow(TrajectoryError);
    expect(() => imported(text)).toThrow(message);
  });
});
