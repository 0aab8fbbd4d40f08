/**
 * The time line: play and scrub, the speed of every view, and the selected view's keyframes, which can be retimed.
 */

import { button, fill, follow, h, icon, keyboardSink, placeOn } from './dom.js';
import { t } from './language.js';
import * as commands from './session/commands.js';
import { Surface } from './surface.js';

const PAD = 10;
const KEY_ROW = 18;
const REACH = 9;
/** Keyframes closer than this, in pixels, are drawn as one. */
const CROWDED = 3;
/** Frames per second while it plays: what AnimateDiff's videos are usually shown at. */
const RATE = 8;

export class Timeline {
  #surface;
  #started = 0;
  #startFrame = 0;
  /** @type {number | null} */
  #hover = null;

  /**
   * @param {import('./session/session.js').EditSession} session
   * @param {{signal: AbortSignal, play: (on: boolean) => void}} host
   */
  constructor(session, { signal, play }) {
    this.session = session;
    this.play = play;
    this.playing = false;
    this.canvas = /** @type {HTMLCanvasElement} */ (h('canvas'));
    this.keys = keyboardSink('Frames: arrow keys step');
    this.button = button({ icon: 'play', title: 'Play (Space)', run: () => this.toggle() });
    this.output = h('output', { title: 'Frame' });
    this.element = h(
      'div',
      { class: 'cvd-time' },
      h(
        'div',
        { class: 'cvd-time-tools' },
        h(
          'div',
          {},
          button({ icon: 'first', title: 'First frame (Home)', run: () => session.setFrame(0) }),
          this.button,
        ),
        this.output,
      ),
      h('div', { class: 'cvd-track' }, this.canvas, this.keys),
    );
    this.#surface = new Surface(this.canvas, () => session.redraw());
    this.#attach(signal);
  }

  /** Start or stop. */
  toggle(on = !this.playing) {
    if (on === this.playing) return;
    this.playing = on;
    this.#started = 0;
    fill(this.button, icon(on ? 'pause' : 'play'));
    this.button.title = t(on ? 'Stop (Space)' : 'Play (Space)');
    this.play(on);
  }

  /**
   * Move to the frame that playing has come to.
   *
   * @param {number} now  of the animation frame, in milliseconds
   * @returns {boolean} whether it is another one
   */
  advance(now) {
    if (!this.playing) return false;
    const { session } = this;
    if (!this.#started) {
      this.#started = now;
      this.#startFrame = session.frame;
    }
    const frame = (this.#startFrame + Math.floor(((now - this.#started) / 1000) * RATE)) % session.frames;
    if (frame === session.frame) return false;
    session.frame = frame;
    return true;
  }

  /** @param {import('./theme.js').Theme} theme */
  draw(theme) {
    const { session } = this;
    const { frame, frames, built, selection } = session;
    this.output.value = `${frame + 1} / ${frames}`;
    const surface = this.#surface;
    if (!surface.begin(theme.background)) return;
    const { context, width, height } = surface;
    const top = 4;
    const bottom = height - KEY_ROW;
    const step =
      [1, 2, 4, 8, 16, 32, 64, 128, 256].find((n) => ((width - 2 * PAD) / Math.max(frames - 1, 1)) * n >= 7) ?? 512;
    context.lineWidth = 1;
    for (let f = 0; f < frames; f += step) {
      const x = this.#x(f);
      context.strokeStyle = f % (4 * step) === 0 ? theme.gridStrong : theme.grid;
      context.beginPath();
      context.moveTo(x, top);
      context.lineTo(x, height);
      context.stroke();
    }
    if (built.views.length) {
      const speeds = built.views.map((view) => speedsOf(view.c2w, frames));
      const most = Math.max(...speeds.map((list) => Math.max(...list, 0)), 1e-9);
      const graph = (/** @type {number} */ v, /** @type {boolean} */ chosen) =>
        this.#drawSpeed(speeds[v], most, built.views[v].color, chosen, top, bottom);
      built.views.forEach((_, v) => {
        if (v !== selection.view) graph(v, false);
      });
      if (built.views[selection.view]) graph(selection.view, true);
      context.fillStyle = theme.dim;
      context.textAlign = 'left';
      context.textBaseline = 'bottom';
      context.fillText('speed', PAD + 4, bottom - 1);
      context.fillStyle = theme.warning;
      for (const f of new Set(session.checks.flatMap((/** @type {any} */ check) => check.frames))) {
        context.fillRect(this.#x(f) - 2, bottom, 4, 2.5); // something is wrong there
      }
      this.#drawKeys(theme, height - KEY_ROW / 2);
    }
    const x = this.#x(frame);
    context.strokeStyle = context.fillStyle = theme.accent;
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, height);
    context.stroke();
    context.beginPath();
    context.moveTo(x - 5, 0);
    context.lineTo(x + 5, 0);
    context.lineTo(x, 7);
    context.fill();
  }

  destroy() {
    this.#surface.destroy();
  }

  #x(/** @type {number} */ frame) {
    return PAD + (frame / Math.max(this.session.frames - 1, 1)) * (this.#surface.width - 2 * PAD);
  }

  #frame(/** @type {number} */ x) {
    const last = this.session.frames - 1;
    return Math.min(Math.max(((x - PAD) / (this.#surface.width - 2 * PAD)) * last, 0), last);
  }

  #drawSpeed(
    /** @type {Float64Array} */ speeds,
    /** @type {number} */ most,
    /** @type {string} */ color,
    /** @type {boolean} */ chosen,
    /** @type {number} */ top,
    /** @type {number} */ bottom,
  ) {
    const { context } = this.#surface;
    const room = bottom - top - 6;
    context.beginPath();
    speeds.forEach((speed, f) => {
      const y = bottom - (speed / most) * room;
      if (f === 0) context.moveTo(this.#x(0), y);
      context.lineTo(this.#x(f + 0.5), y);
      if (f === speeds.length - 1) context.lineTo(this.#x(f + 1), y);
    });
    context.strokeStyle = color;
    context.lineWidth = chosen ? 2 : 1;
    context.globalAlpha = chosen ? 1 : 0.55;
    context.stroke();
    if (chosen && speeds.length) {
      context.lineTo(this.#x(speeds.length), bottom);
      context.lineTo(this.#x(0), bottom);
      context.fillStyle = color;
      context.globalAlpha = 0.16;
      context.fill();
    }
    context.globalAlpha = 1;
  }

  #drawKeys(/** @type {import('./theme.js').Theme} */ theme, /** @type {number} */ y) {
    const { session } = this;
    const view = session.built.views[session.selection.view];
    if (!view?.keyframes) return;
    const { context } = this.#surface;
    let last = -Infinity;
    view.keyframes.forEach((keyframe, k) => {
      const x = this.#x(keyframe.frame);
      const taken = k === session.selection.key;
      if (!taken && x - last < CROWDED) return;
      last = x;
      const size = (taken ? 6 : 5) + (this.#hover === k ? 1.5 : 0);
      context.beginPath();
      context.moveTo(x, y - size);
      context.lineTo(x + size, y);
      context.lineTo(x, y + size);
      context.lineTo(x - size, y);
      context.closePath();
      context.fillStyle = view.color;
      context.fill();
      context.strokeStyle = taken ? theme.text : theme.background;
      context.lineWidth = taken ? 2 : 1;
      context.stroke();
    });
  }

  /** The selected view's keyframe at a place of the canvas. */
  #keyAt(/** @type {number} */ x, /** @type {number} */ y) {
    const keys = this.session.built.views[this.session.selection.view]?.keyframes;
    if (!keys || y < this.#surface.height - KEY_ROW - 3) return null;
    let best = null;
    let distance = REACH;
    keys.forEach((keyframe, k) => {
      const away = Math.abs(this.#x(keyframe.frame) - x) - (k === this.session.selection.key ? 0.5 : 0);
      if (away < distance) [distance, best] = [away, k];
    });
    return best;
  }

  #attach(/** @type {AbortSignal} */ signal) {
    const { canvas, session } = this;
    canvas.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      event.stopPropagation();
      this.keys.focus({ preventScroll: true });
      const [x, y] = placeOn(event, canvas);
      const key = this.#keyAt(x, y);
      if (key === null) {
        const scrub = (/** @type {PointerEvent} */ at) =>
          session.setFrame(Math.round(this.#frame(placeOn(at, canvas)[0])));
        this.toggle(false);
        scrub(event);
        return follow(event, { signal, move: scrub });
      }
      session.select(session.selection.view, key);
      let moved = false;
      follow(event, {
        signal,
        move: (at) => {
          if (!moved && Math.abs(at.clientX - event.clientX) < 3) return;
          if (!moved) session.beginGesture();
          moved = true;
          const frame = this.#frame(placeOn(at, canvas)[0]);
          session.run(commands.retimeKeyframe, key, at.altKey ? frame : Math.round(frame));
        },
        end: (at) => moved && session.endGesture(at === null),
      });
    });
    canvas.addEventListener('pointermove', (event) => {
      const key = this.#keyAt(...placeOn(event, canvas));
      canvas.title = key === null ? t('Drag to scrub') : `Keyframe ${key + 1}: drag to change when the camera is here`;
      if (key === this.#hover) return;
      this.#hover = key;
      session.redraw();
    });
    canvas.addEventListener('dblclick', (event) => {
      event.stopPropagation();
      const [x, y] = placeOn(event, canvas);
      if (this.#keyAt(x, y) === null) session.run(commands.addKeyframe, session.selection.view, this.#frame(x));
    });
  }
}

/** World units from each frame to the next. */
function speedsOf(/** @type {ArrayLike<number>} */ c2w, /** @type {number} */ frames) {
  const speeds = new Float64Array(Math.max(frames - 1, 0));
  for (let f = 0; f < speeds.length; f++) {
    const [a, b] = [16 * f, 16 * f + 16];
    speeds[f] = Math.hypot(c2w[b + 3] - c2w[a + 3], c2w[b + 7] - c2w[a + 7], c2w[b + 11] - c2w[a + 11]);
  }
  return speeds;
}
