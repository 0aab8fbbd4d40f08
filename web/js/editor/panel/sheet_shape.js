/**
 * What makes the path: the rig's parameters, the view's moves, or the selected keyframe.
 *
 * @import {View} from '../../trajectory/document.js'
 * @import {EditSession} from '../session/session.js'
 */

import { applyRig } from '../../trajectory/edit.js';
import { MOVES, RIGS } from '../../trajectory/presets.js';
import { button, h } from '../dom.js';
import * as commands from '../session/commands.js';
import { DocumentFields } from './document_fields.js';
import { choice, row } from './fields.js';
import { keyframeRows } from './keyframe_rows.js';

/**
 * @param {import('../editor.js').TrajectoryEditor} editor
 * @param {AbortSignal} signal
 * @returns {import('./panel.js').Sheet}
 */
export function shapeSheet({ session }, signal) {
  const fields = new DocumentFields(session, signal);
  const described = () => session.document?.rig ?? session.document?.views?.[session.selection.view];
  return {
    signature: () => JSON.stringify([session.editable, session.selection, described(), session.error]),
    content: () => h('div', { class: 'cvd-rows' }, ...rows(session, fields)),
  };
}

/** @param {EditSession} session @param {DocumentFields} fields @returns {HTMLElement[]} */
function rows(session, fields) {
  if (!session.document) return [row('', note('Nothing to show until the JSON can be read.'))];
  if (session.form === 'rig') return rigRows(session, fields);
  return session.form === 'moves' ? moveRows(session, fields) : keyframeRows(session, fields);
}

/** @param {EditSession} session @param {DocumentFields} fields */
function rigRows(session, fields) {
  const { document } = session;
  const rig = document?.rig;
  if (!rig) return [];
  const set = (/** @type {Record<string, any>} */ given) => session.run(commands.setRig, given);
  const pick = (/** @type {string} */ name) => session.replace(applyRig(document, name));
  return [
    row(
      'Rig',
      choice({ title: 'Rig', value: rig.name, choices: Object.keys(RIGS), change: pick }),
      ...fields.parameters(RIGS[rig.name], rig, (name, value) => set({ [name]: value })),
    ),
    row(
      'Motion',
      fields.easing(rig.easing, 'Easing of all views', (easing) => set({ easing })),
      ...fields.lens(rig.focal, (focal) => set({ focal })),
    ),
    row(
      '',
      bakeButton('Make every view editable by hand', () => session.run(commands.bake)),
      note(`${RIGS[rig.name].description}. Drag an end of a path to make it yours.`),
    ),
  ];
}

/** @param {EditSession} session @param {DocumentFields} fields */
function moveRows(session, fields) {
  const v = session.selection.view;
  const view = /** @type {View} */ (session.document?.views?.[v]);
  const moves = view.moves ?? [];
  const rowOf = (/** @type {import('../../trajectory/document.js').Move} */ move, /** @type {number} */ m) => {
    const set = (/** @type {Record<string, any>} */ given) => session.run(commands.setMove, v, m, given);
    const remove = () => session.run(commands.deleteMove, v, m);
    return row(
      move.name,
      ...fields.parameters(MOVES[move.name], move, (name, value) => set({ [name]: value })),
      fields.easing(move.easing ?? view.easing, `Easing of ${move.name}`, (easing) => set({ easing })),
      moves.length > 1 && button({ icon: 'trash', title: `Remove ${move.name}`, run: remove }),
    );
  };
  return [
    ...moves.map(rowOf),
    row(
      'Lens',
      ...fields.lens(view.focal, (focal) => session.run(commands.setView, v, { focal })),
      bakeButton('Make this view editable by hand', () => session.run(commands.bake, v)),
      note('Moves add up, each in the moving frame of those before it.'),
    ),
  ];
}

/** @param {string} title @param {() => void} run */
function bakeButton(title, run) {
  return button({ text: 'Turn into keyframes', title, class: 'cvd-outlined', run });
}

/** @param {string} text */
function note(text) {
  return h('span', { class: 'cvd-note' }, text);
}
