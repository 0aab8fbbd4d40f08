/**
 * Keys while the editor has the focus. The host's own shortcuts are kept from those that the editor takes.
 */

import * as commands from './session/commands.js';

/** World units that an arrow key moves a keyframe by; ten times as much with Shift. */
const NUDGE = 0.01;

/**
 * @param {import('./editor.js').TrajectoryEditor} editor
 */
export function attachKeyboard(editor) {
  const { root, session } = editor;

  const toggleTool = (/** @type {'path' | 'draw'} */ tool) =>
    session.tool === tool ? session.setTool('select') : editor.toolbar.pickTool(tool);

  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const keys = {
    ' ': () => editor.timeline.toggle(),
    Home: () => session.setFrame(0),
    End: () => session.setFrame(session.frames - 1),
    ',': () => session.setFrame(session.frame - 1),
    '.': () => session.setFrame(session.frame + 1),
    v: () => session.setTool('select'),
    d: () => toggleTool('draw'),
    k: () => session.run(commands.addKeyframe, session.selection.view, session.frame),
    f: () => editor.fit(),
    g: () => toggleTool('path'),
    l: () => session.toggleLock(),
    '[': () => session.selectNextKey(-1),
    ']': () => session.selectNextKey(1),
    Delete: () => session.run(commands.deleteSelected),
    Backspace: () => session.run(commands.deleteSelected),
    Escape: () => session.setTool('select'),
    'shift+F': () => editor.toggleWindow(),
    'mod+z': () => session.undo(),
    'mod+shift+Z': () => session.redo(),
    'mod+y': () => session.redo(),
    'mod+d': () => session.run(commands.duplicateKeyframe),
  };
  for (let i = 1; i <= 9; i++) {
    keys[String(i)] = () => {
      if (i <= session.built.views.length) session.select(i - 1, session.selection.key);
    };
  }

  root.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest('input, textarea:not(.cvd-keys), select')) {
      event.stopPropagation(); // what is typed is not for the graph
      return;
    }
    if (event.key === 'Escape' && editor.fillsWindow) return; // closes the window
    const name =
      (event.ctrlKey || event.metaKey ? 'mod+' : '') +
      (event.shiftKey && event.key.length === 1 && event.key !== ' ' ? 'shift+' : '') +
      (event.key.length === 1 && !event.shiftKey ? event.key.toLowerCase() : event.key);
    const pressesButton = target.closest('button') && (event.key === ' ' || event.key === 'Enter');
    const run = event.key.startsWith('Arrow') ? nudge : keys[name];
    // On any other element the host undoes as well.
    const hostActs = event.ctrlKey || event.metaKey ? !target.matches('.cvd-keys') : false;
    if (pressesButton || hostActs || !run) return;
    event.preventDefault();
    event.stopPropagation();
    run(event);
  });

  /** Arrow keys move the selected keyframe in the focused pane, or step through frames on the time line. */
  const nudge = (/** @type {KeyboardEvent} */ event) => {
    const x = Number(event.key === 'ArrowRight') - Number(event.key === 'ArrowLeft');
    const y = Number(event.key === 'ArrowDown') - Number(event.key === 'ArrowUp');
    const pane = editor.panes.find((of) => of.keys === document.activeElement);
    if (!pane?.projection) return session.setFrame(session.frame + x);
    const { view, key } = session.selection;
    const point = session.document?.views?.[view]?.keyframes?.[key]?.position;
    if (!point) return;
    const at = pane.projection.project(point);
    const to = pane.projection.unproject(at.x + x, at.y + y, point);
    const shift = point.map((value, i) => to[i] - value);
    const length = Math.hypot(...shift) || 1;
    const by = NUDGE * (event.shiftKey ? 10 : 1);
    session.run(
      commands.moveSelected,
      shift.map((value) => (value / length) * by),
    );
  };
}
