/**
 * What would keep the views of a document from agreeing, found while it is edited.
 *
 * As the networks do, all but the check of the first poses take every view relative to its own first camera.
 *
 * @typedef {import('./paths.js').Built} Built
 * @typedef {'first-pose' | 'baseline' | 'rotation-only' | 'overlap' | 'jump' | 'speed' | 'count'} Kind
 * @typedef {{kind: Kind, severity: 'error' | 'warning', views: number[], frames: number[], message: string}} Check
 */

import { ROUNDING, angleBetween, gapSquared, relativeToFirst, smallestBaseline } from './baseline.js';
import { distance, length, positionOf } from './math.js';
import { overlapOf } from './overlap.js';

/** Radians, and share of a focal length, by which cameras that count as one may differ. */
const SAME_TURN = 1e-4;
const SAME_LENS = 1e-6;
/** Least share of the picture that two views should see together. */
const LEAST_OVERLAP = 0.2;
/** Largest movement of the picture from frame to frame, as a share of its width. */
const FASTEST = 0.15;
/** How much faster than the frames around it a single step is, to be called a jump. */
const JUMP = 3;
/** Share of the clip that views may take to leave their common start. */
const SLOW_START = 0.1;
/** Pairs of views that are named one by one. */
const MOST_NAMED = 3;

/**
 * @param {Built} built
 * @returns {Check[]}
 */
export function check(built) {
  const { views, frames } = built;
  const relative = views.map(({ c2w }) => relativeToFirst(c2w, frames));
  const smallest = smallestBaseline(
    relative,
    views.map(({ c2w }) => c2w),
  );
  const depth = depthOf(relative);
  return [
    ...firstPoses(built, smallest),
    ...baselines(built, relative, smallest),
    ...overlaps(built, relative, depth),
    ...views.flatMap((_, v) => speeds(built, relative, depth, v)),
  ];
}

/** @param {Built} built @param {number} smallest @returns {Check[]} */
function firstPoses({ views }, smallest) {
  const [first, ...others] = views;
  const same = Math.max(smallest, ROUNDING * length(positionOf(first.c2w)));
  const apart = others.flatMap((view, i) => {
    const moved = distance(positionOf(view.c2w), positionOf(first.c2w)) > same;
    const turned = angleBetween(view.c2w, 0, first.c2w, 0) > SAME_TURN;
    const zoomed = Math.abs(Math.log(view.intrinsics[0] / first.intrinsics[0])) > SAME_LENS;
    return moved || turned || zoomed ? [i + 1] : [];
  });
  if (apart.length === 0) return [];
  const verb = apart.length > 1 ? 'do' : 'does';
  return [
    {
      kind: 'first-pose',
      severity: 'warning',
      views: [0, ...apart],
      frames: [0],
      message:
        `${listed(apart.map((v) => views[v].name))} ${verb} not start as ${first.name} does. ` +
        'The networks take all views to start in one pose with one lens: their paths will be seen from there.',
    },
  ];
}

/** @param {Built} built @param {Float64Array[]} relative @param {number} smallest @returns {Check[]} */
function baselines({ views, frames }, relative, smallest) {
  /** @type {Check[]} */
  const found = [];
  for (const [a, b] of pairs(views.length)) {
    const without = [];
    let turned = 0;
    for (let f = 1; f < frames; f++) {
      const at = 16 * f;
      if (gapSquared(relative[a], at + 3, 4, relative[b], at + 3, 4) > smallest ** 2) continue;
      without.push(f);
      const zoomed = Math.abs(Math.log(views[a].intrinsics[4 * f] / views[b].intrinsics[4 * f]));
      turned = Math.max(turned, angleBetween(relative[a], at, relative[b], at) / SAME_TURN, zoomed / SAME_LENS);
    }
    if (without.every((f, i) => f === i + 1) && without.length <= SLOW_START * frames) continue;
    const names = `${views[a].name} and ${views[b].name}`;
    const always = without.length === frames - 1;
    const what = turned > 1 ? 'stand in one place and only turn or zoom' : 'are one and the same camera';
    found.push({
      kind: always && turned > 1 ? 'rotation-only' : 'baseline',
      severity: always ? 'error' : 'warning',
      views: [a, b],
      frames: without,
      message:
        `${names} ${what} ${always ? 'in all frames' : `in ${framesText(without)}`}: ` +
        'without a distance between them there are no epipolar lines.',
    });
  }
  return shortened(
    found,
    (count) => `${count} more pairs of views have no distance between them in some or all frames.`,
  );
}

/** @param {Built} built @param {Float64Array[]} relative @param {number} depth @returns {Check[]} */
function overlaps({ views, frames }, relative, depth) {
  const steps = Math.min(frames - 1, views.length > 12 ? 2 : 4);
  const looked = [...new Set(Array.from({ length: steps }, (_, i) => Math.round(((i + 1) * (frames - 1)) / steps)))];
  /** @type {Check[]} */
  const found = [];
  for (const [a, b] of pairs(views.length)) {
    const camera = (/** @type {number} */ v, /** @type {number} */ f) => ({
      c2w: relative[v].subarray(16 * f, 16 * f + 16),
      lens: views[v].intrinsics.subarray(4 * f, 4 * f + 4),
    });
    const shares = looked.map((f) => overlapOf(camera(a, f), camera(b, f), depth));
    const least = Math.min(...shares);
    if (!(least < LEAST_OVERLAP)) continue;
    const frame = looked[shares.indexOf(least)];
    found.push({
      kind: 'overlap',
      severity: 'warning',
      views: [a, b],
      frames: [frame],
      message:
        `${views[a].name} and ${views[b].name} look away from each other: in frame ${frame + 1} they see about ` +
        `${Math.round(least * 100)} % of their pictures together.`,
    });
  }
  return shortened(found, (count) => `${count} more pairs of views see little together.`);
}

/**
 * How far the scene is thought to be: one unit, as in CVD's rigs, or as far as the rig is large.
 *
 * @param {Float64Array[]} relative
 */
function depthOf(relative) {
  let most = 1;
  for (const c2w of relative) {
    for (let at = 0; at < c2w.length; at += 16) most = Math.max(most, Math.hypot(...positionOf(c2w, at)));
  }
  return most;
}

/** @param {Built} built @param {Float64Array[]} relative @param {number} depth @param {number} v @returns {Check[]} */
function speeds({ views, frames }, relative, depth, v) {
  const { name, intrinsics } = views[v];
  const moved = Array.from({ length: frames - 1 }, (_, f) => {
    const at = 16 * f;
    const step = distance(positionOf(relative[v], at), positionOf(relative[v], at + 16)) / depth;
    const zoomed = Math.abs(Math.log(intrinsics[4 * f + 4] / intrinsics[4 * f])) / 2;
    return (step + angleBetween(relative[v], at, relative[v], at + 16)) * intrinsics[4 * f] + zoomed;
  });
  const most = Math.max(...moved, 0);
  if (most <= FASTEST) return [];
  const f = moved.indexOf(most);
  const around = Math.max(moved[f - 1] ?? 0, moved[f + 1] ?? 0);
  const jumps = frames > 2 && most > JUMP * around;
  const share = `${Math.round(most * 100)} % of its width`;
  return [
    {
      kind: jumps ? 'jump' : 'speed',
      severity: 'warning',
      views: [v],
      frames: [f, f + 1],
      message: jumps
        ? `${name} jumps from frame ${f + 1} to ${f + 2}: the picture moves by about ${share} at once.`
        : `${name} is fast: from frame ${f + 1} to ${f + 2} the picture moves by about ${share}. ` +
          'More frames or a shorter path help.',
    },
  ];
}

/** @param {number} count @returns {[number, number][]} */
function pairs(count) {
  return Array.from({ length: count }, (_, b) =>
    Array.from({ length: b }, (__, a) => /** @type {[number, number]} */ ([a, b])),
  ).flat();
}

/**
 * The worst of many checks of one kind, the rest in a single one.
 *
 * @param {Check[]} found
 * @param {(count: number) => string} rest
 * @returns {Check[]}
 */
function shortened(found, rest) {
  const sorted = found.sort((a, b) => Number(b.severity === 'error') - Number(a.severity === 'error'));
  const more = sorted.slice(MOST_NAMED);
  if (more.length < 2) return sorted;
  const views = [...new Set(more.flatMap((one) => one.views))];
  return [...sorted.slice(0, MOST_NAMED), { ...more[0], views, message: rest(more.length) }];
}

/** @param {string[]} names */
function listed(names) {
  return names.length > MOST_NAMED
    ? `${names.slice(0, MOST_NAMED).join(', ')} and ${names.length - MOST_NAMED} more`
    : names.join(' and ');
}

/** @param {number[]} frames  from 0; shown from 1 */
function framesText(frames) {
  const runs = frames.reduce((found, f) => {
    const last = found[found.length - 1];
    if (last && last[1] === f - 1) last[1] = f;
    else found.push([f, f]);
    return found;
  }, /** @type {[number, number][]} */ ([]));
  const texts = runs.slice(0, 4).map(([from, to]) => (from === to ? `${from + 1}` : `${from + 1} to ${to + 1}`));
  return `frame${frames.length > 1 ? 's' : ''} ${texts.join(', ')}${runs.length > 4 ? ' and more' : ''}`;
}
