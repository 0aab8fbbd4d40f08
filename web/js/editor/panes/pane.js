/**
 * One pane: its canvas, which way it looks, and what it shows. What a pointer does in it is in pane_pointer.js.
 */

import { button, h, keyboardSink } from '../dom.js';
import { extentPoints, markSize } from './extent.js';
import { handlesOf } from './handles.js';
import { drawLens, fitted } from './lens.js';
import { Painter } from './painter.js';
import { attachPointer } from './pointer.js';
import { makeProjection } from './projections.js';
import { centerOf, drawAxes, drawFloor, drawFrustum, drawGrid, drawHandles, drawPath } from './scene_drawing.js';
import { Surface } from '../surface.js';

/** @typedef {import('./painter.js').Point} Point */

/** @type {[string, string, string][]} */
export const PANE_KINDS = [
  ['free', 'Free', 'Perspective from a free camera'],
  ['plan', 'Plan', 'From above: right is right, forward is up'],
  ['side', 'Side', 'From the right: forward is right'],
  ['front', 'Front', 'From behind the cameras: right is right, up is up'],
  ['lens', 'Lens', 'What the selected view sees'],
  ['lenses', 'Lenses', 'What all views see'],
];

export class Pane {
  /** @type {Record<string, any>} by kind */
  #projections = {};
  #surface;
  /** Points of a path being drawn. @type {Point[]} */
  stroke = [];
  /** @type {import('./handles.js').Handle | null} */
  hover = null;
  /** @type {import('./handles.js').Handle[]} */
  handles = [];

  /**
   * @param {import('../session/session.js').EditSession} session
   * @param {string} kind
   * @param {{signal: AbortSignal, maximise: (pane: Pane) => void}} host
   */
  constructor(session, kind, { signal, maximise }) {
    this.session = session;
    this.kind = kind;
    this.canvas = /** @type {HTMLCanvasElement} */ (h('canvas'));
    this.keys = keyboardSink('');
    this.select = h(
      'select',
      {
        title: 'What this pane shows',
        'aria-label': 'What this pane shows',
        onchange: () => this.show(this.select.value),
      },
      ...PANE_KINDS.map(([value, text, title]) => h('option', { value, title, selected: value === kind }, text)),
    );
    this.element = h(
      'div',
      { class: 'cvd-pane' },
      this.canvas,
      this.keys,
      h(
        'div',
        { class: 'cvd-pane-tools' },
        this.select,
        button({ icon: 'fit', title: 'Show everything (F)', run: () => this.fit() }),
        button({ icon: 'expand', title: 'This pane alone, or all panes', run: () => maximise(this) }),
      ),
    );
    this.#surface = new Surface(this.canvas, () => {
      if (!this.moved) this.fitted = false;
      session.redraw();
    });
    this.show(kind);
    attachPointer(this, signal);
  }

  get projection() {
    return this.#projections[this.kind] ?? null;
  }

  /** @param {string} kind */
  show(kind) {
    this.kind = kind;
    this.select.value = kind;
    if (!(kind in this.#projections)) this.#projections[kind] = makeProjection(kind);
    this.hover = null;
    this.fitted = false;
    this.moved = false;
    this.keys.setAttribute('aria-label', PANE_KINDS.find(([value]) => value === kind)?.[2] ?? '');
    this.session.redraw();
  }

  /** Its own camera has been moved by hand; it is no longer fitted when the pane's size changes. */
  look() {
    this.moved = true;
    this.session.redraw();
  }

  /** Show all paths, with what they look at. */
  fit() {
    this.fitted = this.moved = false;
    this.session.redraw();
  }

  /** @param {import('../theme.js').Theme} theme */
  draw(theme) {
    const surface = this.#surface;
    if (!surface.begin(theme.background)) return;
    const { session, projection } = this;
    if (!session.built.views.length) return;
    if (!projection) return this.#drawLenses(theme);
    projection.setSize(surface.width, surface.height);
    if (!this.fitted) {
      projection.fit(extentPoints(session));
      this.fitted = true;
    }
    this.#drawScene(new Painter(surface.context, projection), theme);
  }

  /** @param {Painter} painter @param {import('../theme.js').Theme} theme */
  #drawScene(painter, theme) {
    const { session, projection } = this;
    const { built, selection, frames } = session;
    if (this.kind === 'free') {
      drawFloor(painter, theme);
    } else {
      const { width, height } = this.#surface;
      const one = projection.unproject(0, 0, [0, 0, 0]);
      const two = projection.unproject(width, height, [0, 0, 0]);
      const low = /** @type {Point} */ ([0, 1, 2].map((i) => Math.min(one[i], two[i])));
      const high = /** @type {Point} */ ([0, 1, 2].map((i) => Math.max(one[i], two[i])));
      drawGrid(painter, theme, { axes: projection.axes, low, high, pixels: projection.scale });
    }
    const size = markSize(session);
    drawAxes(painter, theme, size);
    const order = built.views
      .map((_, v) => v)
      .filter((v) => v !== selection.view)
      .concat(selection.view);
    for (const v of order) {
      const view = built.views[v];
      if (view) drawPath(painter, view, { frames, size, selected: v === selection.view });
    }
    for (const v of order) {
      const view = built.views[v];
      if (!view) continue;
      const chosen = v === selection.view;
      drawFrustum(painter, view, session.frame, size, view.color, {
        width: chosen ? 1.8 : 1.2,
        alpha: chosen ? 1 : 0.85,
        fill: chosen ? 0.22 : 0.1,
      });
    }
    this.handles = handlesOf(session, size * 1.6);
    drawHandles(painter, theme, this.handles, {
      selection,
      hover: this.hover,
      colors: built.views.map((v) => v.color),
    });
    if (this.stroke.length > 1) {
      painter.line(this.stroke, built.views[selection.view]?.color ?? theme.accent, { width: 3, dash: [2, 5] });
    }
    this.#drawNames(painter, theme);
  }

  /** The views' names at the ends of their paths, the selected one first; one that would cover another is left out. */
  #drawNames(/** @type {Painter} */ painter, /** @type {import('../theme.js').Theme} */ theme) {
    const { built, selection, frames } = this.session;
    /** @type {{x: number, y: number}[]} */
    const taken = [];
    const others = built.views.map((_, v) => v).filter((v) => v !== selection.view);
    for (const v of [selection.view, ...others]) {
      const view = built.views[v];
      const end = view && centerOf(view.c2w, frames - 1);
      const at = end && painter.place(end);
      if (!at || taken.some(({ x, y }) => Math.abs(x - at.x) < 44 && Math.abs(y - at.y) < 13)) continue;
      taken.push(at);
      painter.label(end, view.name.slice(0, 16), {
        color: v === selection.view ? view.color : theme.dim,
        halo: theme.halo,
        dy: -12,
      });
    }
  }

  /** @param {import('../theme.js').Theme} theme */
  #drawLenses(theme) {
    const { session } = this;
    const { built, selection, settings, frame } = session;
    const { width, height, context } = this.#surface;
    const shown = this.kind === 'lens' ? [selection.view] : built.views.map((_, v) => v);
    const aspect = settings.width / settings.height;
    const room = { x: 4, y: 26, width: width - 8, height: height - 30 };
    const columns = bestColumns(shown.length, room.width / room.height / aspect);
    const rows = Math.ceil(shown.length / columns);
    const cell = { width: room.width / columns, height: room.height / rows };
    shown.forEach((v, i) => {
      const view = built.views[v];
      if (!view) return;
      const box = fitted(
        {
          x: room.x + (i % columns) * cell.width + 1,
          y: room.y + Math.floor(i / columns) * cell.height + 1,
          width: cell.width - 2,
          height: cell.height - 2,
        },
        aspect,
      );
      drawLens(context, box, view, frame, { theme, image: session.image, first: built.views[0] });
      context.strokeStyle = view.color;
      context.lineWidth = v === selection.view ? 2 : 1;
      context.strokeRect(box.x, box.y, box.width, box.height);
      context.textAlign = 'left';
      context.textBaseline = 'top';
      context.lineWidth = 3;
      context.strokeStyle = 'rgba(0, 0, 0, 0.65)';
      const name = view.name.slice(0, 18);
      context.strokeText(name, box.x + 5, box.y + 5);
      context.fillStyle = '#ffffff';
      context.fillText(name, box.x + 5, box.y + 5);
    });
  }

  destroy() {
    this.#surface.destroy();
  }
}

/** Columns that show `count` pictures largest in a room `wide` pictures wide for each one high. */
function bestColumns(/** @type {number} */ count, /** @type {number} */ wide) {
  let best = 1;
  let size = 0;
  for (let columns = 1; columns <= count; columns++) {
    const scale = Math.min(wide / columns, 1 / Math.ceil(count / columns));
    if (scale > size + 1e-9) [best, size] = [columns, scale];
  }
  return best;
}
