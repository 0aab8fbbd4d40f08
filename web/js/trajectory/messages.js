/**
 * The error a user sees, and values in its text. The Python side refuses the same texts at the same places, in words of
 * its own.
 */

/** Characters of a value that a message shows. */
const LONGEST = 60;

/** A mistake in a text or a number; the message says where, what was found and what was expected. */
export class TrajectoryError extends Error {
  name = 'TrajectoryError';

  /**
   * @param {string} problem
   * @param {string} [place]  in the document, as `views[1].color`, or in the text, as `line 3, column 7`
   */
  constructor(problem, place = '') {
    super(place ? `trajectory JSON, ${place}: ${problem}` : problem);
    this.problem = problem;
    this.place = place;
  }
}

/**
 * Run `run`, naming the place in the document where it fails.
 *
 * @template T
 * @param {string} place
 * @param {() => T} run
 * @returns {T}
 */
export function inPlace(place, run) {
  try {
    return run();
  } catch (error) {
    if (error instanceof TrajectoryError) throw new TrajectoryError(error.message, place);
    throw error;
  }
}

/** @param {unknown} value @returns {string} JSON of it, cut short where it is long */
export function show(value) {
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 3)}...`;
}

/** What to tell of anything that was thrown. @param {unknown} error */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
