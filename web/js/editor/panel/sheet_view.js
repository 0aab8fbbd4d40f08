/**
 * The selected view as a whole: its name and colour, and what turns one path into another.
 */

import { button, h } from '../dom.js';
import * as commands from '../session/commands.js';
import { choice, numberField, row } from './fields.js';

const AXES = ['x', 'y', 'z'];
const MIRRORS = ['left and right', 'up and down', 'forward and back'];

/**
 * @param {import('../editor.js').TrajectoryEditor} editor
 * @param {AbortSignal} signal
 * @returns {import('./panel.js').Sheet}
 */
export function viewSheet(editor, signal) {
  const { session } = editor;
  const offset = [0, 0, 0];
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
      row(
        'Offset',
        ...AXES.map((label, axis) =>
          numberField({
            label,
            axis,
            title: `Offset along ${label}`,
            value: offset[axis],
            signal,
            change: (value) => {
              offset[axis] = value ?? 0;
            },
          }),
        ),
        button({
          text: 'Move',
          title: 'Move the whole path by this much',
          class: 'cvd-outlined',
          run: () => session.run(commands.offsetView, v, [...offset]),
        }),
      ),
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
