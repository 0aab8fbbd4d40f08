/**
 * In and out: clipboard, dropped and chosen files, downloads.
 */

import { exportCameras, importFiles } from '../trajectory/importers.js';
import { messageOf } from '../trajectory/messages.js';
import { h } from './dom.js';

const MOST_BYTES = 20e6;

export class Files {
  /** @param {import('./editor.js').TrajectoryEditor} editor */
  constructor(editor) {
    this.editor = editor;
  }

  async copy() {
    const { session } = this.editor;
    try {
      await navigator.clipboard.writeText(session.text);
      this.editor.toast('Copied');
    } catch {
      this.editor.panel.show('json');
      this.editor.toast('The browser gives no access to the clipboard; copy the text here');
    }
  }

  async paste() {
    try {
      this.pasteText(await navigator.clipboard.readText());
    } catch {
      this.editor.panel.show('json');
      this.editor.toast('The browser gives no access to the clipboard; paste the text here');
    }
  }

  /** @param {string} text */
  pasteText(text) {
    this.editor.session.replaceText(text, 'pasted text');
  }

  /** Let the user choose files. */
  pick() {
    const input = h('input', {
      type: 'file',
      multiple: true,
      accept: '.txt,.json,image/*',
      onchange: () => this.read([...input.files]),
    });
    input.click();
  }

  /**
   * Pose files and JSON become views, a picture is looked at through the lens.
   *
   * @param {File[]} files
   */
  async read(files) {
    const texts = [];
    for (const file of files) {
      if (file.type.startsWith('image/')) {
        try {
          this.editor.setImage(await createImageBitmap(file));
        } catch {
          this.editor.toast(`${file.name} is not a picture that this browser reads`);
        }
      } else if (file.size > MOST_BYTES) {
        this.editor.toast(
          `${file.name} has ${Math.round(file.size / 1e6)} MB; pose files have less than ${MOST_BYTES / 1e6}`,
        );
      } else {
        texts.push({ name: file.name, text: await file.text() });
      }
    }
    if (texts.length) this.importTexts(texts);
  }

  /** Camera files become the trajectory; what could not be kept is said. @param {{name: string, text: string}[]} files */
  importTexts(files) {
    const { session } = this.editor;
    try {
      const { document, notes } = importFiles(files, session.settings);
      session.replace(document);
      if (notes.length) this.editor.toast(notes.join('; '));
    } catch (error) {
      this.editor.toast(messageOf(error));
    }
  }

  /** @param {'json' | 'nerfstudio' | 'realestate10k'} format */
  save(format) {
    const { text: json, built, settings } = this.editor.session;
    const files =
      format === 'json' ? [{ name: 'trajectory.json', text: json }] : exportCameras(built, settings, format);
    for (const { name, text } of files) {
      const url = URL.createObjectURL(
        new Blob([text], { type: name.endsWith('.json') ? 'application/json' : 'text/plain' }),
      );
      h('a', { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    }
  }
}

/**
 * Drops and the clipboard's shortcuts.
 *
 * @param {import('./editor.js').TrajectoryEditor} editor
 */
export function attachFiles(editor) {
  const { root, files } = editor;
  const hint = h(
    'div',
    { class: 'cvd-drop', hidden: true },
    'Drop pose files (RealEstate10K, CameraCtrl), transforms.json or trajectory JSON - or a picture to look at',
  );
  root.append(hint);
  let depth = 0;
  const holdsFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files');
  const show = (/** @type {number} */ by) => {
    depth = Math.max(depth + by, 0);
    hint.hidden = depth === 0;
  };
  root.addEventListener('dragenter', (/** @type {DragEvent} */ event) => {
    if (holdsFiles(event)) show(1);
  });
  root.addEventListener('dragleave', (/** @type {DragEvent} */ event) => {
    if (holdsFiles(event)) show(-1);
  });
  root.addEventListener('dragover', (/** @type {DragEvent} */ event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
  });
  root.addEventListener('drop', (/** @type {DragEvent} */ event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    event.stopPropagation(); // the host would load it as a workflow
    show(-Infinity);
    files.read([...(event.dataTransfer?.files ?? [])]);
  });

  const typing = (/** @type {Event} */ event) =>
    /** @type {HTMLElement} */ (event.target).closest?.('input, textarea:not(.cvd-keys)');
  root.addEventListener('copy', (/** @type {ClipboardEvent} */ event) => {
    event.stopPropagation(); // the host would copy the node
    if (typing(event) || String(getSelection())) return;
    event.preventDefault();
    event.clipboardData?.setData('text/plain', editor.session.text);
    editor.toast('Copied as JSON');
  });
  root.addEventListener('paste', (/** @type {ClipboardEvent} */ event) => {
    event.stopPropagation();
    if (typing(event)) return;
    event.preventDefault();
    const { clipboardData } = event;
    if (clipboardData?.files.length) files.read([...clipboardData.files]);
    else files.pasteText(clipboardData?.getData('text/plain') ?? '');
  });
}
