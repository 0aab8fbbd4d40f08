/**
 * Above the panes: tools, presets, history, the lock, files; and the list of views.
 */

import { button, fill, h, icon } from './dom.js';
import { MOVES, RIGS } from '../trajectory/presets.js';

export class Toolbar {
  #chips = '';

  /** @param {import('./editor.js').TrajectoryEditor} editor */
  constructor(editor) {
    this.editor = editor;
    const { state } = editor;
    this.select = button({ icon: 'move', title: 'Select and move (V)', run: () => state.setTool('select') });
    this.draw = button({ icon: 'pencil', title: 'Draw the selected view\'s path by hand (D)', run: () => state.setTool('draw') });
    this.undo = button({ icon: 'undo', title: 'Undo (Ctrl+Z)', run: () => state.undo() });
    this.redo = button({ icon: 'redo', title: 'Redo (Ctrl+Shift+Z)', run: () => state.redo() });
    this.lock = button({ icon: 'lock', title: '', run: () => state.toggleLock() });
    this.window = button({ icon: 'expand', title: 'Fill the window (Shift+F)', run: () => editor.toggleWindow() });
    const rigs = this.#menuButton('Rig', 'Start from a rig: all views at once', () => this.#rigs());
    const moves = this.#menuButton('Move', 'Give the selected view a named move', () => this.#moves());
    const more = button({ icon: 'menu', title: 'Copy, paste, import, export, reset', run: () => editor.menu.show(more, this.#more()) });
    this.chips = h('div', { class: 'cvd-chips', role: 'group', 'aria-label': 'Views' });
    this.add = button({ icon: 'plus', title: 'Add a view', run: () => state.addView() });
    this.element = h('div', {},
      h('div', { class: 'cvd-bar' },
        this.select, this.draw, h('div', { class: 'cvd-gap' }), rigs, moves, h('div', { class: 'cvd-gap' }),
        this.undo, this.redo, h('div', { class: 'cvd-gap' }), this.lock, h('div', { class: 'cvd-space' }), more, this.window),
      h('div', { class: 'cvd-views' }, this.chips, this.add));
  }

  /** Show the state as it is now. */
  update() {
    const { state, fillsWindow } = this.editor;
    const press = (/** @type {HTMLElement} */ of, /** @type {boolean} */ on) => of.setAttribute('aria-pressed', String(on));
    press(this.select, state.tool === 'select');
    press(this.draw, state.tool === 'draw');
    this.undo.disabled = !state.history.canUndo;
    this.redo.disabled = !state.history.canRedo;
    press(this.lock, state.locked);
    const broken = !state.locked && state.firstPosesDiffer;
    const title = state.locked
      ? 'All views start from one pose, as CVD needs it: moving one start moves all. Press to free them.'
      : broken
        ? 'The views start from different poses; CVD needs one. Press to give all views the start of the first.'
        : 'Starts can be moved one by one. Press to keep one common start.';
    if (this.lock.title !== title) {
      this.lock.title = title;
      this.lock.setAttribute('aria-label', title);
      this.lock.classList.toggle('cvd-warn', broken);
      fill(this.lock, icon(state.locked ? 'lock' : 'unlock'));
    }
    const fills = fillsWindow ? 'Back into the node (Shift+F)' : 'Fill the window (Shift+F)';
    if (this.window.title !== fills) {
      this.window.title = fills;
      fill(this.window, icon(fillsWindow ? 'shrink' : 'expand'));
    }
    this.#updateChips();
  }

  #updateChips() {
    const { state } = this.editor;
    const views = state.built.views;
    const now = JSON.stringify([state.selection.view, views.map((view) => [view.name, view.color])]);
    this.add.disabled = !state.editable;
    if (now === this.#chips) return;
    this.#chips = now;
    fill(this.chips, ...views.map((view, v) => {
      const chip = button({ text: view.name, title: `View ${v + 1}: ${view.name}`, class: 'cvd-chip', run: () => state.select(v, state.selection.key) });
      chip.prepend(h('span', { class: 'cvd-dot' }));
      chip.style.setProperty('--dot', view.color);
      chip.setAttribute('aria-pressed', String(v === state.selection.view));
      return chip;
    }));
    const chosen = this.chips.children[state.selection.view];
    if (chosen) this.chips.scrollLeft = Math.max(0, chosen.offsetLeft - this.chips.offsetLeft - 60);
  }

  #menuButton(/** @type {string} */ text, /** @type {string} */ title, /** @type {() => any[]} */ entries) {
    const of = button({ text, title, class: 'cvd-outlined', run: () => this.editor.menu.show(of, entries()) });
    of.append(icon('chevron'));
    return of;
  }

  /** @returns {import('./menu.js').Entry[]} */
  #rigs() {
    const { state } = this.editor;
    return [{ title: 'All views start over from' }, ...Object.values(RIGS).map((rig) => ({
      text: rig.name, description: rig.description, run: () => {
        state.applyRig(rig.name);
        this.editor.panel.show('shape');
      },
    }))];
  }

  /** @returns {import('./menu.js').Entry[]} */
  #moves() {
    const { state } = this.editor;
    const name = state.built.views[state.selection.view]?.name ?? 'the view';
    const adds = state.viewForm() === 'moves';
    return [{ title: adds ? `${name} also makes` : `${name} starts over with` }, ...Object.values(MOVES).map((move) => ({
      text: move.name, description: move.description, disabled: !state.editable, run: () => {
        state.applyMove(move.name);
        this.editor.panel.show('shape');
      },
    }))];
  }

  /** @returns {import('./menu.js').Entry[]} */
  #more() {
    const { files, state } = this.editor;
    return [
      { text: 'Copy as JSON', note: 'Ctrl+C', run: () => files.copy() },
      { text: 'Paste JSON', note: 'Ctrl+V', run: () => files.paste() },
      '-',
      { text: 'Import pose files or a picture ...', run: () => files.pick() },
      { text: 'Save as JSON', run: () => files.save('json') },
      { text: 'Save as transforms.json', note: 'nerfstudio', disabled: !state.editable, run: () => files.save('nerfstudio') },
      { text: 'Save as pose files', note: 'RealEstate10K', disabled: !state.editable, run: () => files.save('realestate10k') },
      '-',
      { text: 'Turn everything into keyframes', disabled: !state.canBake, run: () => state.bake() },
      { text: 'Lift the lens picture', disabled: !state.image, run: () => this.editor.setImage(null) },
      { text: 'Reset', note: 'the starting rig', run: () => state.reset() },
    ];
  }
}
