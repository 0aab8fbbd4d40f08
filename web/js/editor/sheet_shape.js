/**
 * What makes the path: the rig's parameters, the view's moves, or the selected keyframe.
 */

import { button, h } from './dom.js';
import { choice, numberField, row } from './fields.js';
import { EASINGS } from '../trajectory/interpolation.js';
import { MOVES, RIGS } from '../trajectory/presets.js';

const AXES = ['x', 'y', 'z'];
const DIRECTIONS = ['right', 'down', 'forward'];
const TURNS = [['pan', 'right'], ['tilt', 'up'], ['roll', 'clockwise']];

/**
 * @param {import('./editor.js').TrajectoryEditor} editor
 * @param {AbortSignal} signal
 * @returns {import('./panel.js').Sheet}
 */
export function shapeSheet(editor, signal) {
  const { state } = editor;

  /** A number field of the document: live while it is dragged, one step of undo. */
  const field = (/** @type {any} */ options) => numberField({
    ...options, signal, disabled: !state.editable,
    change: (value, final) => state.during(`${options.title}`, final, () => options.set(value)),
  });
  const easing = (/** @type {any} */ value, /** @type {string} */ title, /** @type {(value: string) => void} */ set) => choice({
    label: 'easing', title, value: Array.isArray(value) ? '' : value ?? 'linear', change: set,
    choices: [...Object.keys(EASINGS), ...(Array.isArray(value) ? [/** @type {[string, string]} */ (['', 'own curve'])] : [])],
  });
  const parameters = (/** @type {any} */ preset, /** @type {any} */ given, /** @type {(name: string, value: number) => void} */ set) =>
    preset.parameters.map((/** @type {any} */ p) => field({
      label: p.name, title: `${p.name}: ${p.unit}`, value: given[p.name] ?? p.default, step: stepOf(p),
      digits: p.whole ? 0 : 3, min: p.min, above: p.above, set: (/** @type {number} */ value) => set(p.name, value),
    }));

  const rigRows = () => {
    const { rig } = state.document;
    const preset = RIGS[rig.name];
    return [
      row('Rig',
        choice({ title: 'Rig', value: rig.name, choices: Object.keys(RIGS), change: (name) => state.applyRig(name) }),
        ...parameters(preset, rig, (name, value) => state.setRig({ [name]: value }))),
      row('Motion', easing(rig.easing, 'Easing of all views', (value) => state.setRig({ easing: value })), lens(rig.focal, (value) => state.setRig({ focal: value }))),
      h('div', { class: 'cvd-row' },
        button({ text: 'Turn into keyframes', title: 'Make every view editable by hand', class: 'cvd-outlined', run: () => state.bake() }),
        h('span', { class: 'cvd-note' }, `${preset.description}. Drag an end of a path to make it yours.`)),
    ];
  };

  const lens = (/** @type {number | undefined} */ focal, /** @type {(value: number | undefined) => void} */ set) => field({
    label: 'lens °', title: 'Horizontal field of view in degrees', value: degreesWide(focal ?? state.defaultFocal), step: 1,
    digits: 1, above: 0, max: 170, set: (/** @type {number} */ value) => set(0.5 / Math.tan((value * Math.PI) / 360)),
  });

  const moveRows = () => {
    const { view } = state.selection;
    const described = state.document.views[view];
    return [
      ...described.moves.map((/** @type {any} */ move, /** @type {number} */ m) => row(move.name,
        ...parameters(MOVES[move.name], move, (name, value) => state.setMove(view, m, { [name]: value })),
        easing(move.easing ?? described.easing, `Easing of ${move.name}`, (value) => state.setMove(view, m, { easing: value })),
        described.moves.length > 1
          && button({ icon: 'trash', title: `Remove ${move.name}`, run: () => state.deleteMove(view, m) }))),
      h('div', { class: 'cvd-row' },
        button({ text: 'Turn into keyframes', title: 'Make this view editable by hand', class: 'cvd-outlined', run: () => state.bake(view) }),
        h('span', { class: 'cvd-note' }, 'Moves add up, each in the moving frame of those before it.')),
    ];
  };

  const keyframeRows = () => {
    const { view, key } = state.selection;
    const described = state.document.views[view];
    const keyframe = described.keyframes[key];
    const set = (/** @type {any} */ fields) => state.setKeyframe(view, key, fields);
    const count = described.keyframes.length;
    const vector = (/** @type {string} */ what, /** @type {number[]} */ value, /** @type {(value: number[]) => void} */ put) =>
      AXES.map((name, axis) => field({
        label: name, axis, title: `${what}, ${DIRECTIONS[axis]}`, value: value[axis],
        set: (/** @type {number} */ x) => put(value.map((old, i) => (i === axis ? x : old))),
      }));
    const aimed = keyframe.look_at;
    const turns = aimed ? [] : state.turnsOf(view, key);
    return [
      row(`Key ${key + 1}/${count}`, ...vector('Position', keyframe.position, (position) => state.moveKeyframe(view, key, position))),
      row('',
        choice({ title: 'How the camera is turned', value: aimed ? 'target' : 'free', choices: [['target', 'looks at'], ['free', 'turned']],
          change: (value) => state.setAim(view, key, value === 'target') }),
        ...(aimed
          ? vector('Target', aimed, (point) => state.moveTarget(view, key, point, false))
          : TURNS.map(([name, sense], i) => field({
            label: name, title: `${name} in degrees, positive is ${sense}`, value: turns[i], step: 1, digits: 2,
            set: (/** @type {number} */ degrees) => state.turnKeyframe(view, key, turns.map((old, j) => (j === i ? degrees : old))),
          })))),
      row('',
        lens(keyframe.focal ?? described.focal, (focal) => set({ focal })),
        field({
          label: 'time', title: 'When the camera is here; empty: even speed along the path', placeholder: 'even', value: keyframe.time ?? null, step: 0.1,
          set: (/** @type {number | null} */ time) => state.setTime(view, key, time),
        }),
        key < count - 1 && easing(keyframe.easing, 'Easing on the way to the next keyframe', (value) => set({ easing: value }))),
      row('',
        button({ icon: 'plus', text: 'Key', title: 'Add a keyframe at this frame (K)', class: 'cvd-outlined', run: () => state.addKeyframe(view, state.frame) }),
        button({ icon: 'copy', title: 'Duplicate this keyframe (Ctrl+D)', class: 'cvd-outlined', run: () => state.duplicateKeyframe() }),
        button({ icon: 'trash', title: 'Delete this keyframe (Delete)', class: 'cvd-outlined', run: () => state.deleteKeyframe() }),
        keyframe.time !== undefined && keyframe.time !== null
          && button({ text: 'Even speed', title: 'Drop the times: constant speed along the path', class: 'cvd-outlined', run: () => state.evenSpeed(view) })),
    ];
  };

  return {
    signature: () => JSON.stringify([
      state.editable, state.selection, state.document?.rig ?? state.document?.views?.[state.selection.view], state.error,
    ]),
    content: () => {
      if (!state.document) return h('div', { class: 'cvd-row' }, h('span', { class: 'cvd-note' }, 'Nothing to show until the JSON can be read.'));
      const form = state.viewForm();
      return h('div', { class: 'cvd-rows' }, ...(form === 'rig' ? rigRows() : form === 'moves' ? moveRows() : keyframeRows()));
    },
  };
}

function degreesWide(/** @type {number} */ focal) {
  return (Math.atan(0.5 / focal) * 360) / Math.PI;
}

function stepOf(/** @type {{unit: string, whole?: boolean}} */ { unit, whole }) {
  return whole || unit.startsWith('degrees') ? 1 : 0.01;
}
