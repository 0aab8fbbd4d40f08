/**
 * The trajectory editor as one element. It edits a text that belongs to someone else: `setText` tells it the text, and
 * `changed` is called with each new one.
 */

import { button, fill, h, icon, keyboardSink } from './dom.js';
import { FrameLoop } from './frame_loop.js';
import { Files, attachFiles } from './files.js';
import { attachKeyboard } from './keyboard.js';
import { Menu } from './menu.js';
import { Pane } from './panes/pane.js';
import { Panel } from './panel/panel.js';
import { EditSession } from './session/session.js';
import { readTheme, watchTheme } from './theme.js';
import { Timeline } from './timeline.js';
import { Toolbar } from './toolbar.js';

const TOAST_TIME = 3500;
const MOST_PICTURE_PIXELS = 640;

/** The style sheet, once for all editors. @returns {HTMLLinkElement} */
function styleSheet() {
  const href = new URL('./editor.css', import.meta.url).href;
  const there = document.head.querySelector(`link[href="${CSS.escape(href)}"]`);
  if (there instanceof HTMLLinkElement) return there;
  const link = h('link', { rel: 'stylesheet', href });
  document.head.append(link);
  return link;
}

/** A copy no larger than a lens needs: hundreds of pieces of it are drawn per frame. */
function smaller(/** @type {HTMLImageElement | ImageBitmap} */ image) {
  const scale = Math.min(1, MOST_PICTURE_PIXELS / Math.max(image.width, image.height));
  const canvas = /** @type {HTMLCanvasElement} */ (
    h('canvas', {
      width: Math.max(Math.round(image.width * scale), 1),
      height: Math.max(Math.round(image.height * scale), 1),
    })
  );
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d')).drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}

export class TrajectoryEditor {
  #gone = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #toastTimer;
  /** @type {HTMLDialogElement | null} */
  #window = null;
  #place = h('div', { class: 'cvd-place' }, 'The editor fills the window');

  /**
   * @param {HTMLElement} parent  takes the editor; it fills it
   * @param {import('./session/session.js').Owner} owner  of the text and the settings
   */
  constructor(parent, owner) {
    this.parent = parent;
    const signal = this.#gone.signal;
    this.root = h('div', { class: 'cvd-editor', 'data-capture-wheel': 'true' });
    this.root.editor = this; // for other extensions; a property of the widget would end up in the host's proxies
    this.session = new EditSession({
      ...owner,
      changed: (text, views, done) => {
        owner.changed(text, views, done);
        if (done) this.#keepInSight();
      },
      replaced: () => this.fit(),
      redraw: () => this.loop?.invalidate(),
      notify: (message) => this.toast(message),
      hasFocus: () => this.root.contains(document.activeElement),
    });
    this.files = new Files(this);
    this.menu = new Menu(this.root, signal);
    this.timeline = new Timeline(this.session, {
      signal,
      play: (on) => {
        this.loop.playing = on;
      },
    });
    this.toolbar = new Toolbar(this, signal);
    this.panel = new Panel(this, signal);
    // The first is the large one; the last is shown where there is room.
    this.panes = ['free', 'plan', 'side', 'lens', 'lenses'].map(
      (kind) => new Pane(this.session, kind, { signal, maximise: (pane) => this.maximise(pane) }),
    );
    this.grid = h('div', { class: 'cvd-panes' }, ...this.panes.map((pane) => pane.element));
    this.message = h('div', { class: 'cvd-message', role: 'alert', hidden: true });
    this.keys = keyboardSink('Camera trajectory editor');
    this.toastBox = h('div', { class: 'cvd-toast', role: 'status', hidden: true });
    fill(
      this.root,
      this.keys,
      this.toolbar.element,
      this.message,
      h(
        'div',
        { class: 'cvd-body' },
        h('div', { class: 'cvd-stage' }, this.grid, this.timeline.element),
        this.panel.element,
      ),
      this.toastBox,
    );
    parent.append(this.root);
    this.loop = new FrameLoop(this.root, (now, asked) => {
      if (this.timeline.advance(now) || asked) this.draw();
    });
    const readAgain = () => {
      this.theme = null;
      this.loop.invalidate();
    };
    this.#stopTheme = watchTheme(readAgain);
    styleSheet().addEventListener('load', readAgain, { signal });
    attachKeyboard(this);
    attachFiles(this);
    this.root.addEventListener('click', (/** @type {MouseEvent} */ event) => {
      const pressed = /** @type {HTMLElement} */ (event.target).closest('button');
      if (pressed && event.detail > 0 && document.activeElement === pressed) this.keys.focus({ preventScroll: true });
    });
    for (const kind of ['pointerdown', 'dblclick']) {
      this.root.addEventListener(kind, (/** @type {MouseEvent} */ event) => {
        if (event.button !== 1) event.stopPropagation();
      });
    }
  }

  /** @type {import('./theme.js').Theme | null} */
  theme = null;
  #stopTheme;

  /** @param {string} text */
  setText(text) {
    this.session.setText(text);
  }

  /** @param {import('../trajectory/paths.js').Settings} settings */
  setSettings(settings) {
    this.session.setSettings(settings);
  }

  /** Something to know about the text, shown above the panes. @param {string} notice */
  setNotice(notice) {
    if (notice === this.#notice) return;
    this.#notice = notice;
    this.loop.invalidate();
  }

  /** @param {HTMLImageElement | ImageBitmap | null} image  shown through the lens in place of the reference scene */
  setImage(image) {
    this.session.image = image && smaller(image);
    this.session.redraw();
  }

  /** Show one pane alone, or all again. @param {Pane} pane */
  maximise(pane) {
    const alone = !this.grid.classList.contains('cvd-single');
    this.grid.classList.toggle('cvd-single', alone);
    for (const other of this.panes) other.element.hidden = alone && other !== pane;
    this.fit();
  }

  get fillsWindow() {
    return this.#window !== null;
  }

  /** Fill the window, or go back into the node. */
  toggleWindow() {
    if (this.#window) {
      this.#window.close();
      return;
    }
    const dialog = /** @type {HTMLDialogElement} */ (
      h('dialog', { class: 'cvd-window', 'aria-label': 'Camera trajectories' })
    );
    dialog.addEventListener('close', () => this.#leaveWindow());
    dialog.addEventListener('cancel', (event) => {
      if (event.target !== dialog) event.preventDefault();
    });
    this.#window = dialog;
    document.body.append(dialog);
    this.parent.append(this.#place);
    dialog.append(this.root);
    dialog.showModal();
    this.keys.focus();
    this.#refit();
  }

  #leaveWindow() {
    const dialog = this.#window;
    if (!dialog) return;
    this.#window = null;
    this.#place.remove();
    this.parent.append(this.root);
    dialog.remove();
    this.#refit();
  }

  #refit() {
    this.menu.close();
    this.fit();
  }

  /** Show everything in every pane. */
  fit() {
    for (const pane of this.panes ?? []) pane.fit();
  }

  #keepInSight() {
    this.session.build();
    for (const pane of this.panes ?? []) pane.keepInSight();
  }

  /** A word to the user that goes away by itself. @param {string} message */
  toast(message) {
    clearTimeout(this.#toastTimer);
    fill(this.toastBox, message);
    this.toastBox.hidden = false;
    this.#toastTimer = setTimeout(() => {
      this.toastBox.hidden = true;
    }, TOAST_TIME);
  }

  /** Draw everything as it is. */
  draw() {
    if (!this.theme) {
      this.theme = readTheme(this.root);
      this.root.classList.toggle('cvd-light', !this.theme.dark);
    }
    this.session.build();
    this.toolbar.update();
    this.#showError();
    for (const pane of this.panes) if (!pane.element.hidden) pane.draw(this.theme);
    this.timeline.draw(this.theme);
    this.panel.update(this.theme);
  }

  #shown = '';
  #notice = '';
  #showError() {
    const { error } = this.session;
    const message = error || this.#notice;
    if (message === this.#shown) return;
    this.#shown = message;
    this.message.hidden = !message;
    this.message.classList.toggle('cvd-mild', !error);
    if (!message) return;
    if (!error) return fill(this.message, icon('warning'), h('span', {}, message));
    fill(
      this.message,
      icon('warning'),
      h('span', {}, error),
      button({ text: 'Show', title: 'Show the text', class: 'cvd-outlined', run: () => this.panel.show('json') }),
      this.session.history.canUndo &&
        button({
          text: 'Undo',
          title: 'Back to the text before',
          class: 'cvd-outlined',
          run: () => this.session.undo(),
        }),
    );
  }

  /** Take it away with everything it listens to. */
  destroy() {
    this.timeline.toggle(false);
    this.#gone.abort();
    clearTimeout(this.#toastTimer);
    this.loop.destroy();
    this.#stopTheme();
    for (const pane of this.panes) pane.destroy();
    this.timeline.destroy();
    if (this.#window) {
      const dialog = this.#window;
      this.#window = null;
      dialog.remove();
    }
    this.#place.remove();
    this.root.remove();
  }
}
