/**
 * The selected keyframe: where it is, where it looks, its lens, and when the camera is there.
 *
 * @import {Keyframe, View} from '../../trajectory/document.js'
 * @import {EditSession} from '../session/session.js'
 * @import {DocumentFields} from './document_fields.js'
 */

import { turnsOf } from '../../trajectory/edit.js';
import { button } from '../dom.js';
import * as commands from '../session/commands.js';
import { choice, row } from './fields.js';

const TURNS = [
  ['pan', 'right'],
  ['tilt', 'up'],
  ['roll', 'clockwise'],
];

/** @param {EditSession} session @param {DocumentFields} fields */
export function keyframeRows(session, fields) {
  const { view, key } = session.selection;
  const described = /** @type {View} */ (session.document?.views?.[view]);
  const keyframes = described.keyframes ?? [];
  const keyframe = keyframes[key];
  const set = (/** @type {Partial<Keyframe>} */ given) => session.run(commands.setKeyframe, view, key, given);
  const move = (/** @type {number[]} */ to) => session.run(commands.moveKeyframe, view, key, to);
  const when = { label: 'time', title: 'When the camera is here; empty: even speed along the path', step: 0.1 };
  return [
    row(`Key ${key + 1}/${keyframes.length}`, ...fields.vector('Position', keyframe.position, move)),
    row('', ...aimFields(session, fields, keyframe)),
    row(
      '',
      ...fields.lens(keyframe.focal ?? described.focal, (focal) => set({ focal })),
      fields.optional(keyframe.time ?? null, { ...when, placeholder: 'even' }, (time) =>
        session.run(commands.setTime, view, key, time),
      ),
      key < keyframes.length - 1 &&
        fields.easing(keyframe.easing, 'Easing on the way to the next keyframe', (easing) => set({ easing })),
    ),
    row('', ...buttons(session, typeof keyframe.time === 'number')),
  ];
}

/** @param {EditSession} session @param {DocumentFields} fields @param {Keyframe} keyframe */
function aimFields(session, fields, keyframe) {
  const { view, key } = session.selection;
  const target = keyframe.look_at;
  const how = choice({
    title: 'How the camera is turned',
    value: target ? 'target' : 'free',
    choices: [
      ['target', 'looks at'],
      ['free', 'turned'],
    ],
    change: (value) => session.run(commands.setAim, view, key, value === 'target'),
  });
  if (target) {
    return [how, ...fields.vector('Target', target, (to) => session.run(commands.moveTarget, view, key, to, true))];
  }
  const turns = turnsOf(keyframe);
  return [
    how,
    ...TURNS.map(([label, sense], i) =>
      fields.number(
        turns[i],
        { label, title: `${label} in degrees, positive is ${sense}`, step: 1, digits: 2 },
        (degrees) => session.run(commands.turnKeyframe, view, key, turns.with(i, degrees)),
      ),
    ),
  ];
}

/** @param {EditSession} session @param {boolean} timed */
function buttons(session, timed) {
  const { view } = session.selection;
  const outlined = (/** @type {Omit<Parameters<typeof button>[0], 'class'>} */ of) =>
    button({ ...of, class: 'cvd-outlined' });
  return [
    outlined({
      icon: 'plus',
      text: 'Key',
      title: 'Add a keyframe at this frame (K)',
      run: () => session.run(commands.addKeyframe, view, session.frame),
    }),
    outlined({
      icon: 'copy',
      title: 'Duplicate this keyframe (Ctrl+D)',
      run: () => session.run(commands.duplicateKeyframe),
    }),
    outlined({
      icon: 'trash',
      title: 'Delete this keyframe (Delete)',
      run: () => session.run(commands.deleteSelected),
    }),
    timed &&
      outlined({
        text: 'Even speed',
        title: 'Drop the times: constant speed along the path',
        run: () => session.run(commands.evenSpeed, view),
      }),
  ];
}
