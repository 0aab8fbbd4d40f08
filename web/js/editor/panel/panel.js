/**
 * The sheets below (or beside) the panes: shape of the path, view, checks, JSON.
 */

import { fill, h } from '../dom.js';
import { t } from '../language.js';
import { checksSheet } from './sheet_checks.js';
import { jsonSheet } from './sheet_json.js';
import { shapeSheet } from './sheet_shape.js';
import { speedSheet } from './sheet_speed.js';
import { viewSheet } from './sheet_view.js';

/**
 * @typedef {{signature: () => string, content: () => Node, draw?: (theme: import('../theme.js').Theme) => void}} Sheet
 *   rebuilt whenever the signature differs, drawn with every frame
 */

/** Milliseconds between two rebuilds while something is dragged: what it changes is read, not used. */
const WHILE_DRAGGED = 100;

export class Panel {
  #built = '';
  #builtAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #later;

  /**
   * @param {import('../editor.js').TrajectoryEditor} editor
   * @param {AbortSignal} signal
   */
  constructor(editor, signal) {
    this.editor = editor;
    signal.addEventListener('abort', () => clearTimeout(this.#later));
    /** @type {Record<string, Sheet>} */
    this.sheets = {
      shape: shapeSheet(editor, signal),
      speed: speedSheet(editor, signal),
      view: viewSheet(editor, signal),
      checks: checksSheet(editor),
      json: jsonSheet(editor),
    };
    this.open = 'shape';
    /** @type {Record<string, HTMLElement>} */
    this.tabs = {};
    for (const name of Object.keys(this.sheets)) {
      this.tabs[name] = h('button', {
        type: 'button',
        class: 'cvd-button',
        role: 'tab',
        onclick: () => this.show(name),
      });
    }
    fill(this.tabs.speed, 'Speed');
    fill(this.tabs.view, 'View');
    fill(this.tabs.json, 'JSON');
    this.sheet = h('div', { class: 'cvd-sheet', role: 'tabpanel' });
    this.element = h(
      'div',
      { class: 'cvd-panel' },
      h('div', { class: 'cvd-tabs', role: 'tablist' }, ...Object.values(this.tabs)),
      this.sheet,
    );
  }

  /** @param {string} name */
  show(name) {
    this.open = name;
    this.editor.session.redraw();
  }

  /** Show the session as it is now. @param {import('../theme.js').Theme} theme */
  update(theme) {
    this.#update();
    this.sheets[this.open].draw?.(theme);
  }

  #update() {
    const { session } = this.editor;
    for (const [name, tab] of Object.entries(this.tabs)) tab.setAttribute('aria-selected', String(name === this.open));
    const form = session.form;
    const shape = form === 'rig' ? 'Rig' : form === 'moves' ? 'Moves' : 'Keyframe';
    if (this.tabs.shape.textContent !== t(shape)) fill(this.tabs.shape, shape);
    const problems = session.checks;
    const bad = problems.some((check) => check.severity === 'error');
    const label = `Checks ${problems.length} ${bad}`;
    if (this.tabs.checks.dataset.shown !== label) {
      this.tabs.checks.dataset.shown = label;
      fill(
        this.tabs.checks,
        'Checks',
        problems.length > 0 && h('span', { class: `cvd-count ${bad ? 'cvd-bad' : ''}` }, String(problems.length)),
      );
    }
    const sheet = this.sheets[this.open];
    const signature = `${this.open} ${sheet.signature()}`;
    if (signature === this.#built) return;
    if (session.inGesture && performance.now() - this.#builtAt < WHILE_DRAGGED) return this.#updateLater();
    this.#builtAt = performance.now();
    const same = this.#built.startsWith(`${this.open} `);
    this.#built = signature;
    this.#rebuild(sheet, same);
  }

  #updateLater() {
    clearTimeout(this.#later);
    this.#later = setTimeout(() => this.editor.session.redraw(), WHILE_DRAGGED);
  }

  /** Keep the focus where it was, on what takes its place. */
  #rebuild(/** @type {Sheet} */ sheet, /** @type {boolean} */ same) {
    const controls = () =>
      /** @type {HTMLElement[]} */ ([...this.sheet.querySelectorAll('input, select, textarea, button')]);
    const before = controls();
    const active = /** @type {HTMLElement} */ (document.activeElement);
    const at = same ? before.indexOf(active) : -1;
    const name = active?.getAttribute('aria-label');
    const { scrollTop } = this.sheet;
    fill(this.sheet, sheet.content());
    if (same) this.sheet.scrollTop = scrollTop;
    if (at < 0) return;
    const now = controls();
    const next =
      now[at]?.getAttribute('aria-label') === name ? now[at] : now.find((of) => of.getAttribute('aria-label') === name);
    next?.focus({ preventScroll: true });
    if (next instanceof HTMLInputElement && next.type === 'text') next.select();
  }
}
