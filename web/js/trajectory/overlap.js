/**
 * How much of a scene two cameras see together. Nobody knows the scene here: it is taken for a wall across the view, at
 * several distances, and the one that they see best together counts.
 *
 * @typedef {{c2w: ArrayLike<number>, lens: ArrayLike<number>}} Camera  a pose and fx, fy, cx, cy
 */

/** Points of the picture that are looked at: so many in each direction. */
const GRID = 4;
/** Distances of the wall, as shares of the expected one. */
const DISTANCES = [1, 3];

/**
 * @param {Camera} a
 * @param {Camera} b
 * @param {number} depth  expected distance of the scene
 * @returns {number} share of their pictures from 0 to 1: the smaller of the two
 */
export function overlapOf(a, b, depth) {
  return Math.max(...DISTANCES.map((share) => Math.min(seenBy(a, b, share * depth), seenBy(b, a, share * depth))));
}

/**
 * Share of the picture of `a`, on a wall `depth` in front of it, that `b` sees.
 *
 * @param {Camera} a
 * @param {Camera} b
 * @param {number} depth
 */
function seenBy(a, b, depth) {
  const { c2w, lens } = a;
  const [m, k] = [b.c2w, b.lens];
  let seen = 0;
  for (let i = 0; i < GRID * GRID; i++) {
    const x = ((((i % GRID) + 0.5) / GRID - lens[2]) / lens[0]) * depth;
    const y = (((Math.floor(i / GRID) + 0.5) / GRID - lens[3]) / lens[1]) * depth;
    const dx = c2w[0] * x + c2w[1] * y + c2w[2] * depth + c2w[3] - m[3];
    const dy = c2w[4] * x + c2w[5] * y + c2w[6] * depth + c2w[7] - m[7];
    const dz = c2w[8] * x + c2w[9] * y + c2w[10] * depth + c2w[11] - m[11];
    const z = m[2] * dx + m[6] * dy + m[10] * dz;
    if (z <= 0) continue;
    const u = ((m[0] * dx + m[4] * dy + m[8] * dz) / z) * k[0] + k[2];
    const v = ((m[1] * dx + m[5] * dy + m[9] * dz) / z) * k[1] + k[3];
    if (u >= 0 && u <= 1 && v >= 0 && v <= 1) seen++;
  }
  return seen / (GRID * GRID);
}
