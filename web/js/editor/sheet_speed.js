/**
 * How time is spread over the path: the speed curve of the whole path, or of the way to the next keyframe.
 */

import { button, h } from './dom.js';
import { CurveGraph } from './curve_graph.js';
import { choice } from './fields.js';
import { curveOf } from '../trajectory/edit.js';
import { EASINGS, easingCurve } from '../trajectory/interpolation.js';

/**
 * @param {import('./editor.js').TrajectoryEditor} editor
 * @param {AbortSignal} signal
 * @returns {import('./panel.js').Sheet}
 */
export function speedSheet(editor, signal) {
  const { state } = editor;
  let scope = 'path';
  const isSegment = () => scope === 'segment' && state.viewForm() === 'keyframes' && hasNext();
  const hasNext = () => state.selection.key < (state.document.views[state.selection.view].keyframes.length - 1);
  const easing = () => state.easingOf(isSegment());
  const set = (/** @type {any} */ value) => state.setEasing(isSegment(), value);

  const graph = new CurveGraph({
    signal,
    redraw: () => state.redraw(),
    points: () => (Array.isArray(easing()) ? easing() : []),
    way: (time) => easingCurve(easing())(time),
    color: () => state.built.views[state.selection.view]?.color ?? '#888888',
    enabled: () => state.editable,
    change: (points, final) => state.during('speed curve', final, () => set(points.length ? points : 'linear')),
  });
  signal.addEventListener('abort', () => graph.destroy());

  const content = () => {
    if (!state.document) return h('div');
    const now = easing();
    const form = state.viewForm();
    const drawn = Array.isArray(now);
    return h('div', { class: 'cvd-speed' },
      h('div', { class: 'cvd-rows' },
        form === 'keyframes' && choice({
          title: 'What the curve is of', value: isSegment() ? 'segment' : 'path',
          choices: [['path', 'whole path'], ...(hasNext() ? [/** @type {[string, string]} */ (['segment', `key ${state.selection.key + 1} to ${state.selection.key + 2}`])] : [])],
          change: (value) => {
            scope = value;
            state.redraw();
          },
        }),
        choice({
          title: 'Easing', value: drawn ? 'curve' : now, choices: [...Object.keys(EASINGS), /** @type {[string, string]} */ (['curve', 'own curve'])],
          change: (value) => set(value === 'curve' ? curveOf(now) : value),
        }),
        drawn && button({ text: 'Even', title: 'Constant speed', class: 'cvd-outlined', run: () => set('linear') }),
        h('span', { class: 'cvd-note' }, `${form === 'rig' ? 'Of all views. ' : ''}Double click the graph to add a point.`)),
      graph.element);
  };
  return {
    signature: () => JSON.stringify([state.editable, scope, state.selection, state.document && easing()]),
    content,
    draw: (theme) => graph.draw(theme),
  };
}
