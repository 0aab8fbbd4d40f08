/**
 * What would keep the views from agreeing, and what can be done about it.
 */

import { button, h, icon } from '../dom.js';

/**
 * @param {import('../editor.js').TrajectoryEditor} editor
 * @returns {import('./panel.js').Sheet}
 */
export function checksSheet(editor) {
  const { session } = editor;
  const line = (/** @type {any} */ check) => {
    const bad = check.severity === 'error';
    const shows = check.views?.length || check.frames?.length;
    return h(
      'div',
      { class: `cvd-check ${bad ? 'cvd-bad' : ''}` },
      icon('warning'),
      h('span', {}, check.message),
      check.kind === 'first-pose' &&
        session.editable &&
        button({
          text: 'Give all one start',
          title: 'All views start where the first does',
          class: 'cvd-outlined',
          run: () => session.toggleLock(),
        }),
      check.kind === 'count' &&
        button({
          text: `Use ${session.listedViews}`,
          title: "Set the node's number of views",
          class: 'cvd-outlined',
          run: () => session.useListedViews(),
        }),
      shows &&
        button({
          icon: 'aim',
          title: 'Show where',
          class: 'cvd-outlined',
          run: () => {
            if (check.frames?.length) session.setFrame(check.frames[0]);
            if (check.views?.length) session.select(check.views[check.views.length - 1], session.selection.key);
          },
        }),
    );
  };
  return {
    signature: () => JSON.stringify([session.checks, session.editable, session.built.views.length > 1]),
    content: () =>
      h(
        'div',
        { class: 'cvd-checks' },
        session.checks.length
          ? session.checks.map(line)
          : session.built.views.length > 1 &&
              h(
                'div',
                { class: 'cvd-check cvd-good' },
                icon('check'),
                h('span', {}, 'Every pair of views has a baseline, a common start and something to see together.'),
              ),
      ),
  };
}
