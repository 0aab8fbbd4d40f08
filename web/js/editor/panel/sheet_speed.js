/**
 * How time is spread over the path: the speed curve of the whole path, or of the way to the next keyframe.
 */

import { button, h } from '../dom.js';
import * as commands from '../session/commands.js';
import { CurveGraph } from './curve_graph.js';
import { choice } from './fields.js';
import { curveOf } from '../../trajectory/edit.js';
import { EASINGS, easingCurve } from '../../trajectory/interpolation.js';

/** @typedef {import('../../trajectory/document.js').Easing} Easing */

/**
 * @param {import('../editor.js').TrajectoryEditor} editor
 * @param {AbortSignal} signal
 * @returns {import('./panel.js').Sheet}
 */
export function speedSheet(editor, signal) {
  const { session } = editor;
  let scope = 'path';
  const lastKey = () => (session.document?.views?.[session.selection.view].keyframes?.length ?? 1) - 1;
  const hasNext = () => session.selection.key < lastKey();
  const isSegment = () => scope === 'segment' && session.form === 'keyframes' && hasNext();
  /** @returns {Easing} */
  const easing = () => {
    const { document, selection } = session;
    return document ? commands.easingOf({ document, selection }, isSegment()) : 'linear';
  };
  const set = (/** @type {Easing} */ value) => session.run(commands.setEasing, isSegment(), value);
  const points = () => {
    const now = easing();
    return /** @type {import('./curve_graph.js').Points} */ (Array.isArray(now) ? now : []);
  };

  const graph = new CurveGraph({
    signal,
    redraw: () => session.redraw(),
    points,
    way: (time) => easingCurve(easing())(time),
    color: () => session.built.views[session.selection.view]?.color ?? '#888888',
    enabled: () => session.editable,
    change: (now, final) => session.during('speed curve', final, () => set(now.length ? now : 'linear')),
  });
  signal.addEventListener('abort', () => graph.destroy());

  const content = () => {
    if (!session.document) return h('div');
    const now = easing();
    const form = session.form;
    const drawn = Array.isArray(now);
    return h(
      'div',
      { class: 'cvd-speed' },
      h(
        'div',
        { class: 'cvd-rows' },
        form === 'keyframes' &&
          choice({
            title: 'What the curve is of',
            value: isSegment() ? 'segment' : 'path',
            choices: [
              ['path', 'whole path'],
              ...(hasNext()
                ? [
                    /** @type {[string, string]} */ ([
                      'segment',
                      `key ${session.selection.key + 1} to ${session.selection.key + 2}`,
                    ]),
                  ]
                : []),
            ],
            change: (value) => {
              scope = value;
              session.redraw();
            },
          }),
        choice({
          title: 'Easing',
          value: drawn ? 'curve' : now,
          choices: [...Object.keys(EASINGS), /** @type {[string, string]} */ (['curve', 'own curve'])],
          change: (value) => set(value === 'curve' ? curveOf(now) : value),
        }),
        drawn && button({ text: 'Even', title: 'Constant speed', class: 'cvd-outlined', run: () => set('linear') }),
        h(
          'span',
          { class: 'cvd-note' },
          `${form === 'rig' ? 'Of all views. ' : ''}Double click the graph to add a point.`,
        ),
      ),
      graph.element,
    );
  };
  return {
    signature: () => JSON.stringify([session.editable, scope, session.selection, session.document && easing()]),
    content,
    draw: (theme) => graph.draw(theme),
  };
}
