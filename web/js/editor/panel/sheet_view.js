/**
 * The selected view as a whole: its name and colour, and what turns one path into another.
 */

import { rotationOfTurns } from '../../trajectory/edit.js';
import { button, h } from '../dom.js';
import * as commands from '../session/commands.js';
import { choice, numberField, row } from './fields.js';

const AXES = ['x', 'y', 'z'];
const MIRRORS = ['left and right', 'up and down', 'forward and back'];
const TURNS = ['pan', 'tilt', 'roll'];

/**
 * @param {import('../editor.js').TrajectoryEditor} editor
 * @param {AbortSignal} signal
 * @returns {import('./panel.js').Sheet}
 */
export function viewSheet(editor, signal) {
  const { session } = editor;
  const transform = { shift: [0, 0, 0], turns: [0, 0, 0], factor: 1 };
  const content = () => {
    const v = session.selection.view;
    const view = session.built.views[v];
    if (!view || !session.document) return h('div');
    const others = session.built.views
      .map((other, i) => /** @type {[string, string]} */ ([String(i), other.name]))
      .filter(([i]) => Number(i) !== v);
    const name = h('input', {
      type: 'text',
      value: view.name,
      title: 'Name',
      'aria-label': 'Name',
      disabled: !session.editable,
      onchange: () => session.run(commands.setView, v, { name: name.value.trim() || undefined }),
    });
    const color = h('input', {
      type: 'color',
      value: view.color,
      title: 'Colour',
      'aria-label': 'Colour',
      disabled: !session.editable,
      onchange: () => session.run(commands.setView, v, { color: color.value }),
    });
    return h(
      'div',
      { class: 'cvd-rows' },
      row(
        'View',
        name,
        color,
        button({
          icon: 'copy',
          title: 'Duplicate this view',
          class: 'cvd-outlined',
          run: () => session.run(commands.addView, v),
        }),
        button({
          icon: 'trash',
          title: 'Delete this view',
          class: 'cvd-outlined',
          run: () => session.run(commands.deleteView, v),
        }),
      ),
      row(
        'Mirror',
        ...AXES.map((axis, i) =>
          button({
            text: axis,
            title: `Swap ${MIRRORS[i]}`,
            class: 'cvd-outlined',
            run: () => session.run(commands.mirrorView, v, i),
          }),
        ),
        h('span', { class: 'cvd-note' }, 'the path, about its start'),
      ),
      ...transformRows(session, signal, transform),
      others.length > 0 &&
        row(
          'Copy',
          choice({
            title: 'Take the path of another view',
            value: '',
            choices: [['', 'path of ...'], ...others],
            change: (from) => from !== '' && session.run(commands.copyPath, Number(from), v),
          }),
          h('span', { class: 'cvd-note' }, 'into this view; then mirror or offset it'),
        ),
    );
  };
  return {
    signature: () =>
      JSON.stringify([
        session.editable,
        session.selection.view,
        session.document?.views?.[session.selection.view] ?? session.document?.rig,
        session.built.views.map((view) => [view.name, view.color]),
      ]),
    content,
  };
}

/**
 * What moves, turns and scales the whole path: numbers, and a button that does it.
 *
 * @param {import('../session/session.js').EditSession} session
 * @param {AbortSignal} signal
 * @param {{shift: number[], turns: number[], factor: number}} entered  kept while other fields are used
 */
function transformRows(session, signal, entered) {
  const apply = (/** @type {import('../../trajectory/edit.js').Transform} */ by) =>
    session.run(commands.transformPath, session.selection.view, by);
  const act = (/** @type {string} */ text, /** @type {string} */ title, /** @type {() => void} */ run) =>
    button({ text, title, class: 'cvd-outlined', run });
  const shifts = AXES.map((label, axis) =>
    numberField({
      label,
      axis,
      title: `Offset along ${label}`,
      value: entered.shift[axis],
      signal,
      change: (value) => {
        entered.shift[axis] = value ?? 0;
      },
    }),
  );
  const turns = TURNS.map((label, i) =>
    numberField({
      label,
      title: `Turn of the path: ${label} in degrees`,
      value: entered.turns[i],
      step: 1,
      signal,
      change: (value) => {
        entered.turns[i] = value ?? 0;
      },
    }),
  );
  const factor = numberField({
    label: '×',
    title: 'Scale of the path',
    value: entered.factor,
    above: 0,
    step: 0.05,
    signal,
    change: (value) => {
      entered.factor = value ?? 1;
    },
  });
  return [
    row(
      'Offset',
      ...shifts,
      act('Move', 'Move the whole path by this much', () => apply({ shift: [...entered.shift] })),
    ),
    row(
      'Turn',
      ...turns,
      act('Turn', 'Turn the whole path about its start', () => apply({ rotation: rotationOfTurns(entered.turns) })),
    ),
    row(
      'Scale',
      factor,
      act('Scale', 'Scale the whole path about its start', () => apply({ factor: entered.factor })),
      h('span', { class: 'cvd-note' }, 'or drag it: the path tool (G)'),
    ),
  ];
}
