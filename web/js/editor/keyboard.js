/**
 * Keys while the editor has the focus. The host's own shortcuts are kept from those that the editor takes.
 */

/** World units that an arrow key moves a keyframe by; ten times as much with Shift. */
const NUDGE = 0.01;

/**
 * @param {import('./editor.js').TrajectoryEditor} editor
 */
export function attachKeyboard(editor) {
  const { root, state } = editor;

  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const keys = {
    ' ': () => editor.timeline.toggle(),
    Home: () => state.setFrame(0),
    End: () => state.setFrame(state.frames - 1),
    ',': () => state.setFrame(Math.max(state.frame - 1, 0)),
    '.': () => state.setFrame(Math.min(state.frame + 1, state.frames - 1)),
    v: () => state.setTool('select'),
    d: () => state.setTool(state.tool === 'draw' ? 'select' : 'draw'),
    k: () => state.addKeyframe(state.selection.view, state.frame),
    f: () => editor.panes.forEach((pane) => pane.fit()),
    l: () => state.toggleLock(),
    '[': () => state.selectNextKey(-1),
    ']': () => state.selectNextKey(1),
    Delete: () => state.deleteKeyframe(),
    Backspace: () => state.deleteKeyframe(),
    Escape: () => state.escape(),
    'shift+F': () => editor.toggleWindow(),
    'mod+z': () => state.undo(),
    'mod+shift+Z': () => state.redo(),
    'mod+y': () => state.redo(),
    'mod+d': () => state.duplicateKeyframe(),
  };
  for (let i = 1; i <= 9; i++) {
    keys[String(i)] = () => { if (i <= state.built.views.length) state.select(i - 1, state.selection.key); };
  }

  root.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest('input, textarea:not(.cvd-keys), select')) {
      event.stopPropagation(); // what is typed is not for the graph
      return;
    }
    if (event.key === 'Escape' && editor.fillsWindow) return; // closes the window
    const name = (event.ctrlKey || event.metaKey ? 'mod+' : '') + (event.shiftKey && event.key.length === 1
      && event.key !== ' ' ? 'shift+' : '') + (event.key.length === 1 && !event.shiftKey ? event.key.toLowerCase() : event.key);
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
    if (!pane?.projection) return state.setFrame(Math.min(Math.max(state.frame + x, 0), state.frames - 1));
    const point = state.selectedPoint();
    if (!point) return;
    const at = pane.projection.project(point);
    const to = pane.projection.unproject(at.x + x, at.y + y, point);
    const shift = point.map((value, i) => to[i] - value);
    const length = Math.hypot(...shift) || 1;
    const by = NUDGE * (event.shiftKey ? 10 : 1);
    state.moveSelected(/** @type {[number, number, number]} */ (point.map((value, i) => value + (shift[i] / length) * by)));
  };
}
