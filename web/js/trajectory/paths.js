/**
 * The cameras of a document: what build_trajectories in cvd_core/geometry/trajectory_json.py makes of it, to 1e-6.
 *
 * @typedef {import('./document.js').Document} Document
 * @typedef {import('./document.js').View} View
 * @typedef {{views: number, frames: number, width: number, height: number}} Settings
 * @typedef {{c2w: Float64Array, focal: number, frame: number}} BuiltKeyframe  `frame` is when the camera is there
 * @typedef {{c2w: Float64Array, intrinsics: Float64Array, keyframes: BuiltKeyframe[] | null}} Path  16 numbers per
 *   frame, camera-to-world; fx, fy, cx, cy per frame, divided by image width and height
 * @typedef {Path & {name: string, color: string}} BuiltView
 * @typedef {{views: BuiltView[], frames: number, width: number, height: number}} Built
 */

import { VIEW_COLORS } from './document.js';
import { TrajectoryError, inPlace, show } from './messages.js';
import { count } from './interpolation.js';
import { fromKeyframes } from './keyframes.js';
import { combine, makeMove } from './moves.js';
import { DEFAULT_FOCAL } from './presets.js';
import { makeRig } from './rigs.js';

const MOST_CAMERAS = 200_000;

/** Paths that have been built, by the part of the document they come from: edits leave the other views' parts alone. */
const CACHE = /** @type {WeakMap<object, {key: string, paths: Path[]}>} */ (new WeakMap());

/**
 * @param {Document} document  from `parse`, or an edit of one; it must not be changed in place
 * @param {Settings} settings  `views`: of a rig; of a document that lists its views their number, as a check, or 0
 * @returns {Built}
 */
export function build(document, { views, frames, width, height }) {
  checkCount(Math.max(views, document.views?.length ?? 0), count('frames', frames));
  const aspect = count('width', width) / count('height', height);
  const built = document.rig
    ? rigViews(document.rig, views, frames, aspect)
    : listedViews(document, views, frames, aspect);
  return { views: built, frames, width, height };
}

/** Refuse rigs beyond any sense before memory is taken for them. @param {number} views @param {number} frames */
function checkCount(views, frames) {
  if (views * frames <= MOST_CAMERAS) return;
  throw new TrajectoryError(
    `${views} views of ${frames} frames are ${views * frames} cameras; expected ${MOST_CAMERAS} at most, so use fewer ` +
      'views or frames',
  );
}

/** @param {NonNullable<Document['rig']>} rig @param {number} views @param {number} frames @param {number} aspect */
function rigViews(rig, views, frames, aspect) {
  if (views < 1) {
    throw new TrajectoryError(`views is ${views}; the trajectory JSON holds a rig, so say how many views it has`);
  }
  const paths = cached(rig, `${views} ${frames} ${aspect}`, () =>
    inPlace('rig', () => {
      const { focal = DEFAULT_FOCAL, ...fields } = rig;
      return makeRig(fields, views, frames).map((motion, v) => pathOf(motion, focal, aspect, `view${v}`));
    }),
  );
  return paths.map((path, v) => ({ ...path, name: `view${v}`, color: VIEW_COLORS[v % VIEW_COLORS.length] }));
}

/** @param {Document} document @param {number} views @param {number} frames @param {number} aspect */
function listedViews(document, views, frames, aspect) {
  const described = document.views ?? [];
  if (views !== 0 && views !== described.length) {
    throw new TrajectoryError(
      `views is ${views}, but the trajectory JSON lists ${described.length} views; set views to that, or to 0 for as ` +
        'many as the JSON lists',
    );
  }
  const names = described.map((view, v) => view.name ?? `view${v}`);
  names.forEach((name, v) => {
    const first = names.indexOf(name);
    if (first < v) {
      throw new TrajectoryError(`the name ${show(name)} is already that of views[${first}]`, `views[${v}]`);
    }
  });
  return described.map((view, v) => ({
    ...cached(view, `${frames} ${aspect}`, () => [listedPath(view, `views[${v}]`, names[v], frames, aspect)])[0],
    name: names[v],
    color: view.color ?? VIEW_COLORS[v % VIEW_COLORS.length],
  }));
}

/** @param {View} view @param {string} path @param {string} name @param {number} frames @param {number} aspect */
function listedPath(view, path, name, frames, aspect) {
  const { easing = 'linear', focal = DEFAULT_FOCAL, moves, keyframes = [] } = view;
  if (moves) {
    const motions = moves.map((move, m) => inPlace(`${path}.moves[${m}]`, () => makeMove(move, frames, easing)));
    return pathOf(combine(motions), focal, aspect, name);
  }
  const made = fromKeyframes(keyframes, { frames, easing, focal, path });
  return inPlace(`${path}.keyframes`, () =>
    finite(
      {
        c2w: made.c2w,
        intrinsics: squarePixels(made.focals, aspect),
        keyframes: made.keyframes,
      },
      name,
    ),
  );
}

/** @param {import('./moves.js').Motion} motion @param {number} focal @param {number} aspect @param {string} name */
function pathOf({ poses, zoom }, focal, aspect, name) {
  const intrinsics = squarePixels(
    zoom.map((factor) => focal * factor),
    aspect,
  );
  return finite({ c2w: poses, intrinsics, keyframes: null }, name);
}

/** @param {Float64Array} focals @param {number} aspect */
function squarePixels(focals, aspect) {
  const intrinsics = new Float64Array(4 * focals.length).fill(0.5);
  focals.forEach((focal, f) => intrinsics.set([focal, focal * aspect], 4 * f));
  return intrinsics;
}

/** @param {Path} path @param {string} name @returns {Path} it, if every number is finite */
function finite(path, name) {
  for (let f = 0; 4 * f < path.intrinsics.length; f++) {
    const numbers = [...path.c2w.subarray(16 * f, 16 * f + 16), ...path.intrinsics.subarray(4 * f, 4 * f + 4)];
    if (!numbers.every(Number.isFinite)) {
      throw new TrajectoryError(
        `camera of ${name}, frame ${f}, holds NaN or infinity; every number of a camera must be finite`,
      );
    }
  }
  return path;
}

/** @param {object} part @param {string} key @param {() => Path[]} make */
function cached(part, key, make) {
  const found = CACHE.get(part);
  if (found?.key === key) return found.paths;
  const paths = make();
  CACHE.set(part, { key, paths });
  return paths;
}
