/**
 * Fields of what a trajectory holds: numbers that are live while they are dragged, easings, lenses, parameters.
 *
 * @import {Easing} from '../../trajectory/document.js'
 * @import {Parameter, Preset} from '../../trajectory/presets.js'
 * @import {EditSession} from '../session/session.js'
 * @import {NumberOptions} from './fields.js'
 */

import { EASINGS } from '../../trajectory/interpolation.js';
import { DEFAULT_FOCAL } from '../../trajectory/presets.js';
import { choice, numberField } from './fields.js';

/** Width in millimetres of the sensor that focal lengths in millimetres are of: full frame. */
const SENSOR_WIDTH = 36;
const AXES = ['x', 'y', 'z'];
const DIRECTIONS = ['right', 'down', 'forward'];

/** @typedef {Omit<NumberOptions, 'signal' | 'change' | 'value'>} Described */

/** The fields of one session. */
export class DocumentFields {
  /** @param {EditSession} session @param {AbortSignal} signal */
  constructor(session, signal) {
    this.session = session;
    this.signal = signal;
  }

  /**
   * A number of the document; a drag of its label is one step of undo.
   *
   * @param {number} value
   * @param {Described} described
   * @param {(value: number) => void} set
   */
  number(value, described, set) {
    return this.optional(value, described, (entered) => entered !== null && set(entered));
  }

  /**
   * A number that may be left out, where `described.placeholder` says what holds then.
   *
   * @param {number | null} value
   * @param {Described} described
   * @param {(value: number | null) => void} set
   */
  optional(value, described, set) {
    const { session, signal } = this;
    const change = (/** @type {number | null} */ entered, /** @type {boolean} */ final) =>
      session.during(described.title, final, () => set(entered));
    return numberField({ ...described, value, signal, disabled: !session.editable, change });
  }

  /** Three numbers along the axes. */
  vector(/** @type {string} */ what, /** @type {number[]} */ value, /** @type {(value: number[]) => void} */ set) {
    return AXES.map((label, axis) =>
      this.number(value[axis], { label, axis, title: `${what}, ${DIRECTIONS[axis]}` }, (entered) =>
        set(value.with(axis, entered)),
      ),
    );
  }

  /** @param {Easing | undefined} value @param {string} title @param {(value: string) => void} set */
  easing(value, title, set) {
    const drawn = Array.isArray(value);
    /** @type {(string | [string, string])[]} */
    const choices = [...Object.keys(EASINGS), ...(drawn ? [/** @type {[string, string]} */ (['', 'own curve'])] : [])];
    return choice({ label: 'easing', title, value: drawn ? '' : (value ?? 'linear'), change: set, choices });
  }

  /**
   * The lens in millimetres and as an angle: two fields of one number.
   *
   * @param {number | undefined} focal  divided by the width of the picture
   * @param {(focal: number) => void} set
   */
  lens(focal = DEFAULT_FOCAL, set) {
    const millimetres = { label: 'mm', title: `Lens in millimetres on a ${SENSOR_WIDTH} mm wide sensor`, step: 1 };
    const degrees = { label: '°', title: 'Horizontal field of view in degrees', step: 1 };
    return [
      this.number(focal * SENSOR_WIDTH, { ...millimetres, digits: 1, above: 0, max: 2000 }, (value) =>
        set(value / SENSOR_WIDTH),
      ),
      this.number(degreesWide(focal), { ...degrees, digits: 1, above: 0, max: 170 }, (value) =>
        set(0.5 / Math.tan((value * Math.PI) / 360)),
      ),
    ];
  }

  /**
   * The parameters of a rig or move.
   *
   * @param {Preset} preset
   * @param {Record<string, any>} given
   * @param {(name: string, value: number) => void} set
   */
  parameters({ parameters }, given, set) {
    return parameters.map(({ name, unit, whole, min, above, default: usual }) => {
      const described = { label: name, title: `${name}: ${unit}`, step: stepOf(unit, whole), min, above };
      return this.number(given[name] ?? usual, { ...described, digits: whole ? 0 : 3 }, (value) => set(name, value));
    });
  }
}

/** @param {number} focal */
function degreesWide(focal) {
  return (Math.atan(0.5 / focal) * 360) / Math.PI;
}

/** @param {string} unit @param {boolean} [whole] */
function stepOf(unit, whole) {
  return whole || unit.startsWith('degrees') ? 1 : 0.01;
}
