/**
 * The random numbers of NumPy's default_rng(seed): PCG64 seeded through SeedSequence (O'Neill 2014).
 */

const WORD = 0xffffffffn;
const WIDE = (1n << 128n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

/**
 * @param {number} seed  whole number from 0
 * @returns {() => number} evenly distributed numbers from 0 to 1
 */
export function randomNumbers(seed) {
  const [high, low, streamHigh, streamLow] = seedState(BigInt(seed));
  const increment = ((((streamHigh << 64n) | streamLow) << 1n) & WIDE) | 1n;
  const step = (/** @type {bigint} */ state) => (state * MULTIPLIER + increment) & WIDE;
  let state = step((increment + ((high << 64n) | low)) & WIDE);
  return () => {
    state = step(state);
    const mixed = ((state >> 64n) ^ state) & 0xffffffffffffffffn;
    const turn = state >> 122n;
    const output = ((mixed >> turn) | (mixed << (64n - turn))) & 0xffffffffffffffffn;
    return Number(output >> 11n) / 2 ** 53;
  };
}

/** Four numbers of 64 bits from a seed of any size, well mixed. */
function seedState(/** @type {bigint} */ seed) {
  /** @type {number[]} */
  const entropy = [];
  for (let rest = seed; rest > 0n || entropy.length === 0; rest >>= 32n) entropy.push(Number(rest & WORD));
  let constant = 0x43b0d7e5;
  const hash = (/** @type {number} */ value) => {
    value ^= constant;
    constant = Math.imul(constant, 0x931e8875);
    value = Math.imul(value, constant);
    return (value ^ (value >>> 16)) >>> 0;
  };
  const mix = (/** @type {number} */ x, /** @type {number} */ y) => {
    const value = (Math.imul(x, 0xca01f9dd) - Math.imul(y, 0x4973f715)) | 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const pool = Array.from({ length: 4 }, (_, i) => hash(entropy[i] ?? 0));
  for (let from = 0; from < 4; from++) {
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  }
  for (const word of entropy.slice(4)) {
    for (let to = 0; to < 4; to++) pool[to] = mix(pool[to], hash(word));
  }
  constant = 0x8b51f9dd;
  const words = Array.from({ length: 8 }, (_, i) => {
    let value = pool[i % 4] ^ constant;
    constant = Math.imul(constant, 0x58f38ded);
    value = Math.imul(value, constant);
    return BigInt((value ^ (value >>> 16)) >>> 0);
  });
  return [0, 2, 4, 6].map((i) => words[i] | (words[i + 1] << 32n));
}
