/**
 * Above the panes: tools, presets, history, the lock, files; and the list of views.
 */

import { button, fill, h, icon } from './dom.js';
import { t } from './language.js';
import { DEFAULT_TEXT, parse } from '../trajectory/document.js';
import { applyRig } from '../trajectory/edit.js';
import { MOVES, RIGS } from '../trajectory/presets.js';
import { surround } from '../trajectory/surround.js';
import { numberField } from './panel/fields.js';
import * as commands from './session/commands.js';

/** Views or frames at most. */
const MOST = 4096;
/** Fraction of the clip in which cameras around a subject travel to their places. */
const LEAD_IN = 0.5;

const TOOL_HINTS = {
  draw: 'Drag in a pane to draw the path of the selected view',
  path: 'Drag the marks at the start of the selected path: move, turn or scale it as a whole',
};

export class Toolbar {
  #chips = '';
  #counts = '';

  /** @param {import('./editor.js').TrajectoryEditor} editor @param {AbortSignal} signal */
  constructor(editor, signal) {
    this.editor = editor;
    this.signal = signal;
    const { session } = editor;
    this.select = button({ icon: 'move', title: 'Select and move (V)', run: () => session.setTool('select') });
    this.path = button({
      icon: 'path',
      title: 'Move, turn and scale the whole path (G)',
      run: () => this.pickTool('path'),
    });
    this.draw = button({
      icon: 'pencil',
      title: "Draw the selected view's path by hand (D)",
      run: () => this.pickTool('draw'),
    });
    this.undo = button({ icon: 'undo', title: 'Undo (Ctrl+Z)', run: () => session.undo() });
    this.redo = button({ icon: 'redo', title: 'Redo (Ctrl+Shift+Z)', run: () => session.redo() });
    this.lock = button({ icon: 'lock', title: '', run: () => session.toggleLock() });
    this.window = button({
      icon: 'expand',
      text: 'Open',
      title: 'Fill the window (Shift+F)',
      class: 'cvd-outlined',
      run: () => editor.toggleWindow(),
    });
    const rigs = this.#menuButton('Rig', 'Start from a rig: all views at once', () => this.#rigs());
    const moves = this.#menuButton('Move', 'Give the selected view a named move', () => this.#moves());
    const more = button({
      icon: 'menu',
      title: 'Copy, paste, import, export, reset',
      run: () => editor.menu.show(more, this.#more()),
    });
    this.chips = h('div', { class: 'cvd-chips', role: 'group', 'aria-label': 'Views' });
    this.counts = h('div', { class: 'cvd-counts' });
    this.add = button({ icon: 'plus', title: 'Add a view', run: () => session.run(commands.addView) });
    this.element = h(
      'div',
      {},
      h(
        'div',
        { class: 'cvd-bar' },
        this.select,
        this.path,
        this.draw,
        h('div', { class: 'cvd-gap' }),
        rigs,
        moves,
        h('div', { class: 'cvd-gap' }),
        this.undo,
        this.redo,
        h('div', { class: 'cvd-gap' }),
        this.lock,
        h('div', { class: 'cvd-space' }),
        more,
        this.window,
      ),
      h('div', { class: 'cvd-views' }, this.chips, this.add, h('div', { class: 'cvd-space' }), this.counts),
    );
  }

  /** Take a tool, and say what it does. @param {'path' | 'draw'} tool */
  pickTool(tool) {
    this.editor.session.setTool(tool);
    this.editor.toast(TOOL_HINTS[tool]);
  }

  /** Show the session as it is now. */
  update() {
    const { session, fillsWindow } = this.editor;
    const press = (/** @type {HTMLElement} */ of, /** @type {boolean} */ on) =>
      of.setAttribute('aria-pressed', String(on));
    press(this.select, session.tool === 'select');
    press(this.path, session.tool === 'path');
    press(this.draw, session.tool === 'draw');
    this.undo.disabled = !session.history.canUndo;
    this.redo.disabled = !session.history.canRedo;
    press(this.lock, session.locked);
    const broken = !session.locked && session.firstPosesDiffer;
    const title = t(
      session.locked
        ? 'All views start from one pose, as CVD needs it: moving one start moves all. Press to free them.'
        : broken
          ? 'The views start from different poses; CVD needs one. Press to give all views the start of the first.'
          : 'Starts can be moved one by one. Press to keep one common start.',
    );
    if (this.lock.title !== title) {
      this.lock.title = title;
      this.lock.setAttribute('aria-label', title);
      this.lock.classList.toggle('cvd-warn', broken);
      fill(this.lock, icon(session.locked ? 'lock' : 'unlock'));
    }
    const fills = t(fillsWindow ? 'Back into the node (Shift+F)' : 'Fill the window (Shift+F)');
    if (this.window.title !== fills) {
      this.window.title = fills;
      fill(this.window, icon(fillsWindow ? 'shrink' : 'expand'), h('span', {}, fillsWindow ? 'Close' : 'Open'));
    }
    this.#updateChips();
    this.#updateCounts();
  }

  /** Numbers of views and frames: those of the node, or of the views that are listed. */
  #updateCounts() {
    const { session } = this.editor;
    const views = session.listedViews ?? session.settings.views;
    const { frames } = session.settings;
    const now = JSON.stringify([views, frames, session.editable]);
    if (now === this.#counts) return;
    this.#counts = now;
    const number = (
      /** @type {string} */ label,
      /** @type {string} */ title,
      /** @type {number} */ value,
      /** @type {(value: number) => void} */ set,
    ) =>
      numberField({
        label,
        title,
        value,
        step: 1,
        digits: 0,
        min: 1,
        max: MOST,
        whole: true,
        disabled: !session.editable,
        signal: this.signal,
        change: (entered, final) => final && entered !== null && set(entered),
      });
    fill(
      this.counts,
      number('views', 'Number of views', views, (count) => this.#setViews(count)),
      number('frames', 'Number of frames', frames, (count) => session.setSetting('frames', count)),
    );
  }

  #setViews(/** @type {number} */ count) {
    const { session } = this.editor;
    if (session.document?.rig) session.setSetting('views', count);
    else session.run(commands.setViewCount, count);
  }

  #updateChips() {
    const { session } = this.editor;
    const views = session.built.views;
    const now = JSON.stringify([session.selection.view, views.map((view) => [view.name, view.color])]);
    this.add.disabled = !session.editable;
    if (now === this.#chips) return;
    this.#chips = now;
    fill(
      this.chips,
      ...views.map((view, v) => {
        const chip = button({
          text: document.createTextNode(view.name),
          title: `View ${v + 1}: ${view.name}`,
          class: 'cvd-chip',
          run: () => session.select(v, session.selection.key),
        });
        chip.prepend(h('span', { class: 'cvd-dot' }));
        chip.style.setProperty('--dot', view.color);
        chip.setAttribute('aria-pressed', String(v === session.selection.view));
        return chip;
      }),
    );
    const chosen = this.chips.children[session.selection.view];
    if (chosen) this.chips.scrollLeft = Math.max(0, chosen.offsetLeft - this.chips.offsetLeft - 60);
  }

  #menuButton(/** @type {string} */ text, /** @type {string} */ title, /** @type {() => any[]} */ entries) {
    const of = button({ text, title, class: 'cvd-outlined', run: () => this.editor.menu.show(of, entries()) });
    of.append(icon('chevron'));
    return of;
  }

  /** @returns {import('./menu.js').Entry[]} */
  #rigs() {
    const { session } = this.editor;
    return [
      { title: 'All views start over from' },
      ...Object.values(RIGS).map((rig) => ({
        text: rig.name,
        description: rig.description,
        run: () => {
          session.replace(applyRig(session.document, rig.name));
          this.editor.panel.show('shape');
        },
      })),
      { title: 'Cameras around the subject, each at a place of its own' },
      ...[90, 180, 360].map((angle) => ({
        text: `around ${angle}\u00b0`,
        description: 'One common start, as CVD wants it: the cameras travel to their places in half of the clip',
        run: () => this.#surround(angle, LEAD_IN),
      })),
      {
        text: 'around 360\u00b0, standing',
        description: 'At their places from the first frame: for SynCamMaster and bullet time, not for CVD',
        run: () => this.#surround(360, 0),
      },
    ];
  }

  #surround(/** @type {number} */ angle, /** @type {number} */ leadIn) {
    const { session } = this.editor;
    session.replace(surround({ views: Math.max(session.built.views.length, 2), angle, leadIn }));
    if (!leadIn) this.editor.toast('CVD wants one common start: take a rig with a lead-in for it');
    this.editor.panel.show('shape');
  }

  /** @returns {import('./menu.js').Entry[]} */
  #moves() {
    const { session } = this.editor;
    const name = session.built.views[session.selection.view]?.name ?? 'the view';
    const adds = session.form === 'moves';
    return [
      { title: adds ? `${name} also makes` : `${name} starts over with` },
      ...Object.values(MOVES).map((move) => ({
        text: move.name,
        description: move.description,
        disabled: !session.editable,
        run: () => {
          session.run(commands.applyMove, move.name);
          this.editor.panel.show('shape');
        },
      })),
    ];
  }

  /** @returns {import('./menu.js').Entry[]} */
  #more() {
    const { files, session } = this.editor;
    return [
      { text: 'Copy as JSON', note: 'Ctrl+C', run: () => files.copy() },
      { text: 'Paste JSON', note: 'Ctrl+V', run: () => files.paste() },
      '-',
      { text: 'Import pose files or a picture ...', run: () => files.pick() },
      { text: 'Save as JSON', run: () => files.save('json') },
      {
        text: 'Save as transforms.json',
        note: 'nerfstudio',
        disabled: !session.editable,
        run: () => files.save('nerfstudio'),
      },
      {
        text: 'Save as pose files',
        note: 'RealEstate10K',
        disabled: !session.editable,
        run: () => files.save('realestate10k'),
      },
      '-',
      {
        text: 'Turn everything into keyframes',
        disabled: !session.editable || !commands.canBake(session.document),
        run: () => session.run(commands.bake),
      },
      { text: 'Lift the lens picture', disabled: !session.image, run: () => this.editor.setImage(null) },
      { text: 'Reset', note: 'the starting rig', run: () => session.replace(parse(DEFAULT_TEXT)) },
    ];
  }
}
