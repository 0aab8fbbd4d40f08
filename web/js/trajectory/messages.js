/**
 * The error a user sees, and values in its text: written as the Python side writes them, so that both say the same.
 */

/** A mistake in a text or a number; the message says where, what was found and what was expected. */
export class TrajectoryError extends Error {
  name = 'TrajectoryError';
}

/**
 * Run `run`, naming the place in the document where it fails.
 *
 * @template T
 * @param {string} path
 * @param {() => T} run
 * @returns {T}
 */
export function inPlace(path, run) {
  try {
    return run();
  } catch (error) {
    if (error instanceof TrajectoryError) throw new TrajectoryError(`trajectory JSON, ${path}: ${error.message}`);
    throw error;
  }
}

/** @param {number} value @returns {string} without a decimal point where it is whole */
export function showNumber(value) {
  if (Object.is(value, -0)) return '-0';
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  }
  return String(value);
}

/** @param {ArrayLike<number>} values @returns {string} a list of floats, `[1.0, 0.5]` */
export function showFloats(values) {
  return `[${Array.from(values, (value) => {
    const text = showNumber(value);
    return /^-?\d+$/.test(text) ? `${text}.0` : text;
  }).join(', ')}]`;
}

/** @param {string} text @returns {string} in quotes, what cannot be seen escaped */
export function quote(text) {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const named = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };
  const inside = text.replace(
    /[\\\n\r\t\x00-\x1f\x7f-\xa0\xad]/g,
    (c) => named[/** @type {keyof typeof named} */ (c)] ?? `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return mark + (mark === "'" ? inside.replaceAll("'", "\\'") : inside) + mark;
}

/** @param {unknown} value @returns {string} JSON of it, cut short where it is long */
export function show(value) {
  const text = json(value, 60);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

/** @param {unknown} value @param {number} room  stop soon after so many characters @returns {string} */
function json(value, room) {
  if (typeof value === 'number') {
    return Number.isFinite(value)
      ? showNumber(value)
      : Number.isNaN(value)
        ? 'NaN'
        : value > 0
          ? 'Infinity'
          : '-Infinity';
  }
  if (typeof value === 'string') {
    return JSON.stringify(value).replace(
      /[\x7f-\uffff]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  }
  if (typeof value !== 'object' || value === null) return String(value);
  const list = Array.isArray(value);
  let text = list ? '[' : '{';
  for (const [key, item] of Object.entries(value)) {
    if (text.length > room) break;
    text += `${text.length > 1 ? ', ' : ''}${list ? '' : `${json(key, room)}: `}${json(item, room - text.length)}`;
  }
  return text + (list ? ']' : '}');
}
