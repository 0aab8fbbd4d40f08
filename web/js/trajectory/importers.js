/**
 * Camera files in and out: RealEstate10K / CameraCtrl pose files, nerfstudio's transforms.json, trajectory JSON. The
 * formats are those of cvd_core/geometry/formats; files become views with one keyframe per frame, exactly.
 *
 * Everything here is data: names from files are texts that whoever shows them has to treat as such.
 *
 * @typedef {import('./document.js').Document} Document
 * @typedef {import('./document.js').View} View
 * @typedef {{c2w: number[], intrinsics: number[]}} Camera  normalised fx, fy, cx, cy
 */

import { VERSION, parse, stringify } from './document.js';
import { freeName } from './edit_views.js';
import { fieldsOf, tidy } from './fit.js';
import { invertPose, pose, rotate, rotationOf } from './math.js';
import { TrajectoryError, show } from './messages.js';
import { build } from './paths.js';
import { DEFAULT_FOCAL } from './presets.js';
import { readTransforms, writeTransforms } from './transforms_json.js';

/** Largest entry of R^T R - I of a rotation as files print it. */
const ROTATION_TOLERANCE = 1e-3;
/** Principal points further off the middle, as a share of the picture, are mentioned. */
const OFF_MIDDLE = 1e-3;
/** Characters of a view's name that is taken from a file's. */
const LONGEST_NAME = 16;
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/;

/**
 * One document of all views in some files.
 *
 * @param {{name: string, text: string}[]} files
 * @param {import('./paths.js').Settings} settings  of the videos to be made
 * @returns {{document: Document, notes: string[]}} what could not be kept is said in the notes
 * @throws {TrajectoryError} a file that cannot be read; the message names it and the place
 */
export function importFiles(files, settings) {
  /** @type {string[]} */
  const notes = [];
  if (files.length === 1) {
    const document = trajectoryIn(files[0]);
    if (document) return { document, notes };
  }
  /** @type {View[]} */
  const views = [];
  for (const file of files) {
    for (const view of viewsIn(file, settings, notes)) {
      const taken = views.map((other) => other.name ?? '');
      views.push({ ...view, name: freeName(taken, view.name ?? `view${views.length}`) });
    }
  }
  const document = parse(stringify({ version: VERSION, views }));
  build(document, { ...settings, views: 0 });
  return { document, notes };
}

/** @param {{name: string, text: string}} file @returns {Document | null} the trajectory document, if it is one */
function trajectoryIn({ name, text }) {
  if (!/^\s*\{/.test(text) || !/"(rig|views)"\s*:/.test(text) || /"frames"\s*:/.test(text)) return null;
  return inFile(name, () => parse(text));
}

/**
 * @param {{name: string, text: string}} file
 * @param {import('./paths.js').Settings} settings
 * @param {string[]} notes
 * @returns {View[]}
 */
function viewsIn({ name, text: whole }, settings, notes) {
  const text = whole.replace(/^\ufeff/, '');
  const document = trajectoryIn({ name, text });
  if (document?.rig) throw new TrajectoryError(`${name} holds a rig, which is a whole trajectory; import it alone`);
  if (document) return document.views ?? [];
  return inFile(name, () => {
    const note = (/** @type {string} */ said) => void notes.push(`${name}: ${said}`);
    const isTransforms = text.trimStart().startsWith('{');
    const views = isTransforms ? readTransforms(text, stem(name), note) : readPoseFile(text, stem(name));
    return views.map((view) => keyframed(view, settings, note));
  });
}

/** @template T @param {string} name @param {() => T} read @returns {T} */
function inFile(name, read) {
  try {
    return read();
  } catch (error) {
    if (error instanceof TrajectoryError) throw new TrajectoryError(`${name}: ${error.message}`);
    throw error;
  }
}

/**
 * What a file's view is called: the file's name, or of a long one as many of its last words as fit, which tell files
 * apart.
 *
 * @param {string} fileName
 */
function stem(fileName) {
  const whole = fileName.replace(/^.*[/\\]/, '').replace(/\.[^.]*$/, '') || 'view';
  if (whole.length <= LONGEST_NAME) return whole;
  const words = [...whole.matchAll(/[^\s_.-]+/g)].map(({ index }) => whole.slice(index));
  return words.find((rest) => rest.length <= LONGEST_NAME) ?? whole.slice(-LONGEST_NAME);
}

/**
 * A view with a keyframe for every camera, seen through the largest centred window of the videos' aspect.
 *
 * @param {{name: string, cameras: Camera[]}} view
 * @param {{width: number, height: number}} size
 * @param {(note: string) => void} note
 * @returns {View}
 */
function keyframed({ name, cameras }, { width, height }, note) {
  let off = 0;
  const keyframes = cameras.map(({ c2w, intrinsics: [fx, fy, cx, cy] }, frame) => {
    const where = `view ${show(name)}, frame ${frame}`;
    if (![...c2w, fx, fy, cx, cy].every(Number.isFinite)) {
      throw new TrajectoryError(`${where} holds numbers that are not finite`);
    }
    if (!isRotation(rotationOf(c2w))) {
      throw new TrajectoryError(
        `${where}: the 3x3 part is not a rotation; check the axes and that it carries no scale`,
      );
    }
    if (fx <= 0 || fy <= 0) throw new TrajectoryError(`${where} has a focal length that is not positive`);
    off = Math.max(off, Math.abs(cx - 0.5), Math.abs(cy - 0.5));
    const wider = fy / fx / (width / height); // source pixels are square
    return { ...fieldsOf(c2w), focal: tidy(fx * Math.max(wider, 1)), ...(cameras.length > 1 ? { time: frame } : {}) };
  });
  if (off > OFF_MIDDLE) {
    note(
      `the principal point of ${show(name)} is up to ${Math.round(off * 1000) / 10} % off the middle; trajectories ` +
        'have it in the middle',
    );
  }
  const { focal } = keyframes[0];
  const constant = keyframes.every((keyframe) => keyframe.focal === focal);
  const lens = constant ? focal : DEFAULT_FOCAL;
  return {
    name,
    focal: lens,
    keyframes: keyframes.map(({ focal: own, ...rest }) => (constant ? rest : { ...rest, focal: own })),
  };
}

/** @param {number[]} m  9 numbers */
function isRotation(m) {
  const dotted = (/** @type {number} */ i, /** @type {number} */ j) =>
    m[i] * m[j] + m[3 + i] * m[3 + j] + m[6 + i] * m[6 + j];
  for (let i = 0; i < 3; i++) {
    for (let j = 0; j < 3; j++) if (!(Math.abs(dotted(i, j) - Number(i === j)) <= ROTATION_TOLERANCE)) return false;
  }
  return determinant(m) > 0;
}

/** @param {number[]} m  9 numbers */
function determinant(m) {
  return m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
}

/**
 * A RealEstate10K file: rows of time, fx, fy, cx, cy, 0, 0 and the world-to-camera matrix. The first line may be a
 * link.
 *
 * @param {string} text
 * @param {string} fileName
 * @returns {{name: string, cameras: Camera[]}[]}
 */
function readPoseFile(text, fileName) {
  const lines = text
    .split(/\r\n|\r|\n/)
    .map((line, n) => ({ n: n + 1, words: line.trim().split(/\s+/), line: line.trim() }))
    .filter(({ line }) => line);
  if (lines.length === 0) throw new TrajectoryError('the file is empty; expected camera poses');
  let name = fileName;
  if (lines[0].words.length === 1 || !lines[0].words.every((word) => NUMBER.test(word))) {
    const [header] = lines.splice(0, 1);
    if (header.line.startsWith('view: ')) name = header.line.slice('view: '.length);
  }
  if (lines.length === 0) throw new TrajectoryError('no camera poses; expected at least one row of 19 numbers');
  return [{ name, cameras: lines.map(({ n, words }) => readRow(n, words)) }];
}

/** @param {number} line @param {string[]} words @returns {Camera} */
function readRow(line, words) {
  if (words.length !== 19) {
    throw new TrajectoryError(
      `line ${line}: ${words.length} columns; expected 19 (timestamp, fx, fy, cx, cy, 0, 0, then the world-to-camera ` +
        'matrix, 3x4 row by row). The line may be cut short, or the file may not be a RealEstate10K pose file',
    );
  }
  const wrong = words.findIndex((word) => !NUMBER.test(word));
  if (wrong >= 0) {
    throw new TrajectoryError(`line ${line}: column ${wrong + 1} is ${show(words[wrong])}; expected a finite number`);
  }
  const values = words.map(Number);
  const [w, h] = values.slice(5, 7);
  if ((w !== 0 || h !== 0) && Math.min(w, h) < 1) {
    throw new TrajectoryError(
      `line ${line}: the two numbers after cy are ${w} ${h}; expected 0 0 or an image size. Lens distortion is not ` +
        'supported: undistort first',
    );
  }
  return { c2w: inverse(values.slice(7), `line ${line}`), intrinsics: values.slice(1, 5) };
}

/** The true inverse of a 3x4 matrix: printed rotations drift. @param {number[]} m  12 numbers @param {string} where */
function inverse(m, where) {
  const [a, b, c, x, d, e, f, y, g, h, i, z] = m;
  const whole = determinant([a, b, c, d, e, f, g, h, i]);
  if (!(Math.abs(whole) > 1e-12)) {
    throw new TrajectoryError(`${where}: the 3x3 part is singular, so it is not a rotation; check the columns`);
  }
  const back = [
    e * i - f * h,
    c * h - b * i,
    b * f - c * e,
    f * g - d * i,
    a * i - c * g,
    c * d - a * f,
    d * h - e * g,
    b * g - a * h,
    a * e - b * d,
  ].map((minor) => minor / whole);
  return pose(back, rotate(back, [-x, -y, -z]));
}

/**
 * The cameras as files of another program.
 *
 * @param {import('./paths.js').Built} built
 * @param {{width: number, height: number}} size  in pixels
 * @param {'nerfstudio' | 'realestate10k'} format
 * @returns {{name: string, text: string}[]}
 */
export function exportCameras(built, { width, height }, format) {
  const taken = new Set();
  for (const { name } of built.views) {
    if (/^[ .]|[ .]$|[/\\:*?"<>|]|\p{C}/u.test(name)) {
      throw new TrajectoryError(`the view name ${show(name)} cannot be part of a file name; rename it`);
    }
    if (taken.has(name.toLowerCase())) {
      throw new TrajectoryError(`two views are called ${show(name)}; give every view its own name`);
    }
    taken.add(name.toLowerCase());
  }
  if (format === 'nerfstudio') return [{ name: 'transforms.json', text: writeTransforms(built, width, height) }];
  return built.views.map(({ name, c2w, intrinsics }) => {
    const rows = Array.from({ length: built.frames }, (_, f) => {
      const w2c = invertPose(c2w.subarray(16 * f, 16 * f + 16)).slice(0, 12);
      return `${[f, ...intrinsics.subarray(4 * f, 4 * f + 4), 0, 0, ...w2c].join(' ')}\n`;
    });
    const file = built.views.length === 1 ? 'trajectory.txt' : `trajectory_${name}.txt`;
    return { name: file, text: `view: ${name}\n${rows.join('')}` };
  });
}
