/**
 * nerfstudio's transforms.json: camera-to-world matrices with OpenGL camera axes (x right, y up, looking along -z) and
 * intrinsics in pixels. As in cvd_core/geometry/formats/nerfstudio.py, `view` and `frame` of each frame, which other
 * programs pass over, keep the views apart; files without them are one view.
 *
 * @typedef {import('./importers.js').Camera} Camera
 */

import { tidy } from './fit.js';
import { TrajectoryError, show } from './messages.js';

const PINHOLE_MODELS = ['OPENCV', 'PINHOLE', 'SIMPLE_PINHOLE', 'PERSPECTIVE'];
const DISTORTION = ['k1', 'k2', 'k3', 'k4', 'p1', 'p2'];
/** How far two statements of one focal length may lie apart, as in cvd_core/geometry/formats/lens.py. */
const AGREE = 0.02;

/**
 * @param {string} text
 * @param {string} fileName  without its extension
 * @param {(note: string) => void} note  told what could not be kept
 * @returns {{name: string, cameras: Camera[]}[]}
 */
export function readTransforms(text, fileName, note) {
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    throw new TrajectoryError('not valid JSON; it may be cut short');
  }
  const { frames } = data;
  if (!Array.isArray(frames) || frames.length === 0) {
    throw new TrajectoryError(
      'neither a trajectory nor a transforms.json: no "rig" or "views", and no list "frames" with at least one frame',
    );
  }
  /** @type {Map<string, Map<number, Camera>>} */
  const views = new Map();
  const named = frames[0]?.view !== undefined;
  const ordered = named ? frames : inNameOrder(frames);
  let distorted = false;
  ordered.forEach((frame, i) => {
    const where = `frames[${i}]`;
    if (!frame?.transform_matrix) {
      throw new TrajectoryError(`${where}: no "transform_matrix"; every frame needs its 4x4 camera-to-world matrix`);
    }
    if ((frame.view !== undefined) !== named) {
      throw new TrajectoryError(`${where}: some frames name their "view" and some do not; name it in all or in none`);
    }
    const name = named ? frame.view : fileName;
    const number = named ? frame.frame : i;
    if (typeof name !== 'string' || !name) {
      throw new TrajectoryError(`${where}: "view" is ${show(name)}; expected a name`);
    }
    if (!Number.isInteger(number) || number < 0) {
      throw new TrajectoryError(
        `${where}: "frame" is ${show(number ?? null)}; a frame that names its "view" needs its number there`,
      );
    }
    const cameras = views.get(name) ?? new Map();
    if (cameras.has(number)) {
      throw new TrajectoryError(
        `${where}: frame ${number} of view ${show(name)} is already given; keep one of the two`,
      );
    }
    const settings = { ...data, ...frame };
    views.set(name, cameras.set(number, cameraOf(settings, where)));
    distorted ||= DISTORTION.some((key) => settings[key]);
  });
  if (distorted) note('the lens distortion is left out, and the cameras are pinholes; the path does not depend on it');
  return [...views].map(([name, cameras]) => {
    const numbers = [...cameras.keys()].sort((a, b) => a - b);
    const gap = numbers.find((number, k) => k > 0 && number !== numbers[k - 1] + 1);
    if (gap !== undefined) {
      throw new TrajectoryError(`view ${show(name)} has no frame ${gap - 1}; add the missing frames`);
    }
    return { name, cameras: numbers.map((number) => /** @type {Camera} */ (cameras.get(number))) };
  });
}

/**
 * Frames in the natural order of their pictures, as in cvd_core/geometry/formats/views.py: other programs list them in
 * any order. What may be several views is left to the command line, which asks.
 *
 * @param {any[]} frames
 * @returns {any[]}
 */
function inNameOrder(frames) {
  const names = frames.map((frame) => frame?.file_path);
  if (!names.every((name) => typeof name === 'string')) return frames;
  const folders = new Set(names.map((name) => name.replaceAll('\\', '/').replace(/[^/]*$/, '')));
  if (folders.size > 1) {
    throw new TrajectoryError(
      `its pictures are in ${folders.size} folders, which may be several views: run "cvd cameras convert" on it, and ` +
        'import the result',
    );
  }
  const natural = new Intl.Collator('en', { numeric: true });
  return [...frames].sort((a, b) => natural.compare(a.file_path, b.file_path));
}

/** @param {any} settings @param {string} where @returns {Camera} */
function cameraOf(settings, where) {
  const model = settings.camera_model ?? 'OPENCV';
  if (!PINHOLE_MODELS.includes(model) || settings.is_fisheye) {
    throw new TrajectoryError(
      `${where}: camera model ${show(settings.is_fisheye ? 'fisheye' : model)}; only pinhole cameras are supported: ` +
        'undistort first',
    );
  }
  const get = (/** @type {string} */ key) => {
    if (settings[key] === undefined) return null;
    if (!Number.isFinite(settings[key])) {
      throw new TrajectoryError(`${where}.${key} is ${show(settings[key])}; expected a finite number`);
    }
    return settings[key];
  };
  DISTORTION.forEach(get); // numbers, if they are there
  const [w, h, cx, cy] = ['w', 'h', 'cx', 'cy'].map(get);
  if (!(w > 0 && h > 0)) {
    throw new TrajectoryError(
      `${where}: image size "w" and "h" are ${w} and ${h}; expected two positive numbers of pixels`,
    );
  }
  const focal = (/** @type {string} */ axis, /** @type {number} */ size) => {
    const angle = get(`camera_angle_${axis}`);
    if (angle !== null && !(angle > 0 && angle < Math.PI)) {
      throw new TrajectoryError(
        `${where}: "camera_angle_${axis}" is ${angle}; expected a field of view in radians, between 0 and pi`,
      );
    }
    const stated = get(`fl_${axis}`);
    const ofAngle = angle === null ? null : size / 2 / Math.tan(angle / 2);
    if (stated > 0 && ofAngle !== null && Math.abs(stated / ofAngle - 1) > AGREE) {
      throw new TrajectoryError(
        `${where}: "fl_${axis}" = ${stated} and "camera_angle_${axis}" = ${angle}, which means ${tidy(ofAngle)} pixels, ` +
          'contradict each other; correct one of them, or remove it',
      );
    }
    return stated ?? ofAngle;
  };
  const x = focal('x', w);
  if (x === null) {
    throw new TrajectoryError(
      `${where}: neither "fl_x" nor "camera_angle_x"; add the focal length in pixels as "fl_x"`,
    );
  }
  const y = focal('y', h) ?? x;
  return {
    c2w: flipped(matrixOf(settings.transform_matrix, where)),
    intrinsics: [x / w, y / h, cx === null ? 0.5 : cx / w, cy === null ? 0.5 : cy / h],
  };
}

/** @param {any} rows @param {string} where @returns {number[]} 16 numbers */
function matrixOf(rows, where) {
  const sized =
    Array.isArray(rows) &&
    (rows.length === 3 || rows.length === 4) &&
    rows.every((row) => Array.isArray(row) && row.length === 4 && row.every(Number.isFinite));
  if (!sized) {
    throw new TrajectoryError(`${where}.transform_matrix: not a matrix of numbers; expected 3x4 or 4x4 numbers`);
  }
  if (
    rows.length === 4 &&
    rows[3].some((/** @type {number} */ value, /** @type {number} */ i) => value !== Number(i === 3))
  ) {
    throw new TrajectoryError(`${where}.transform_matrix has a last row other than 0 0 0 1`);
  }
  return [...rows.slice(0, 3).flat(), 0, 0, 0, 1];
}

/** OpenGL camera axes to OpenCV's, and back. @param {ArrayLike<number>} m */
function flipped(m) {
  return Array.from(m, (value, i) => (i < 12 && (i % 4 === 1 || i % 4 === 2) ? -value || 0 : value));
}

/**
 * @param {import('./paths.js').Built} built
 * @param {number} width
 * @param {number} height
 */
export function writeTransforms({ views, frames }, width, height) {
  const listed = views.flatMap(({ name, c2w, intrinsics }) =>
    Array.from({ length: frames }, (_, f) => {
      const m = flipped(c2w.subarray(16 * f, 16 * f + 16));
      const [fx, fy, cx, cy] = intrinsics.subarray(4 * f, 4 * f + 4);
      return {
        file_path: `${name}/frame_${String(f).padStart(5, '0')}.png`,
        view: name,
        frame: f,
        fl_x: fx * width,
        fl_y: fy * height,
        cx: cx * width,
        cy: cy * height,
        transform_matrix: [0, 4, 8, 12].map((at) => m.slice(at, at + 4)),
      };
    }),
  );
  return `${JSON.stringify({ camera_model: 'OPENCV', w: width, h: height, frames: listed }, null, 1)}\n`;
}
