/**
 * One pane: its canvas, which way it looks, and what it shows. What a pointer does in it is in pointer.js.
 */

import { button, h, keyboardSink } from '../dom.js';
import { t } from '../language.js';
import { extentPoints, markSize } from './extent.js';
import { Ground } from './ground.js';
import { handlesOf } from './handles.js';
import { drawLenses } from './lenses_drawing.js';
import { attachPointer } from './pointer.js';
import { makeProjection } from './projections.js';
import { drawScene } from './scene.js';
import { Surface } from '../surface.js';

/** @typedef {import('./painter.js').Point} Point */

/** @type {[string, string, string][]} */
const PANE_KINDS = [
  ['free', 'Free', 'Perspective from a free camera'],
  ['plan', 'Plan', 'From above: right is right, forward is up'],
  ['side', 'Side', 'From the right: forward is right'],
  ['front', 'Front', 'From behind the cameras: right is right, up is up'],
  ['lens', 'Lens', 'What the selected view sees'],
  ['lenses', 'Lenses', 'What all views see'],
];

/** Height of the pane's own tools, in pixels: nothing to take hold of should lie under them. */
const TOOLS = 26;

export class Pane {
  /** @type {Record<string, any>} by kind */
  #projections = {};
  #surface;
  #ground = new Ground();
  /** Points of a path being drawn. @type {Point[]} */
  stroke = [];
  /** Of keyframes to select. @type {{x0: number, y0: number, x1: number, y1: number} | null} */
  marquee = null;
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
    this.keys.setAttribute('aria-label', t(PANE_KINDS.find(([value]) => value === kind)?.[2] ?? ''));
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

  /** Show everything again if something that is edited has left the pane, and it was not aimed by hand. */
  keepInSight() {
    const { projection, session, moved } = this;
    if (!projection || moved || !this.fitted) return;
    const { width, height } = projection;
    const seen = extentPoints(session).every((point) => {
      const { x, y, depth } = projection.project(point);
      return depth > (projection.near ?? -Infinity) && x >= 0 && x <= width && y >= TOOLS && y <= height;
    });
    if (!seen) this.fit();
  }

  /** @param {import('../theme.js').Theme} theme */
  draw(theme) {
    const surface = this.#surface;
    if (!surface.begin(theme.background)) return;
    const { session, projection } = this;
    if (!session.built.views.length) return;
    if (!projection) return drawLenses(surface, session, theme, this.kind === 'lenses');
    projection.setSize(surface.width, surface.height);
    if (!this.fitted) {
      projection.fit(extentPoints(session), TOOLS);
      this.fitted = true;
    }
    const size = markSize(session);
    this.handles = handlesOf(session, size * 1.6, projection.axes);
    const { hover, stroke, marquee, handles } = this;
    const shown = { size, ground: this.#ground, hover, stroke, marquee, handles };
    drawScene(surface, projection, session, theme, shown);
  }

  destroy() {
    this.#surface.destroy();
  }
}
