/**
 * The text itself, editable. A broken text is kept as it is, with what is wrong with it above.
 */

import { button, h } from '../dom.js';

/**
 * @param {import('../editor.js').TrajectoryEditor} editor
 * @returns {import('./panel.js').Sheet}
 */
export function jsonSheet(editor) {
  const { session } = editor;
  /** @type {HTMLTextAreaElement | null} */
  let area = null;
  let shown = '';
  return {
    signature: () => {
      // What is typed in here is not put in again under the cursor.
      if (!area?.isConnected || area.value !== session.text) shown = session.text;
      return shown;
    },
    content: () => {
      area = h('textarea', {
        spellcheck: false,
        value: session.text,
        'aria-label': 'Trajectory JSON',
        oninput: () => session.typeText(/** @type {HTMLTextAreaElement} */ (area).value),
        onchange: () => session.endTyping(),
      });
      return h(
        'div',
        { class: 'cvd-json' },
        area,
        h(
          'div',
          { class: 'cvd-row' },
          button({
            icon: 'copy',
            text: 'Copy',
            title: 'Copy the text',
            class: 'cvd-outlined',
            run: () => editor.files.copy(),
          }),
          button({
            text: 'Tidy',
            title: 'Write it with even spaces',
            class: 'cvd-outlined',
            run: () => session.replaceText(session.text, 'JSON'),
          }),
          h('span', { class: 'cvd-note' }, 'This text is all that is saved; the help page of the node explains it.'),
        ),
      );
    },
  };
}
