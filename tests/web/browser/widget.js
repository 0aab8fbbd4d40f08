/** The editor on a page of its own, and hands to work it with. */

import { launch } from '../chromium.js';
import { serve } from './server.js';

export const TWO_VIEWS = JSON.stringify({
  version: 2,
  views: [
    {
      name: 'left',
      keyframes: [
        { position: [0, 0, 0], look_at: [0, 0, 1] },
        { position: [-0.5, 0, 0.1], look_at: [0, 0, 1] },
      ],
    },
    {
      name: 'right',
      keyframes: [
        { position: [0, 0, 0], look_at: [0, 0, 1] },
        { position: [0.5, 0, 0.1], look_at: [0, 0, 1] },
      ],
    },
  ],
});

/** Counts what is left on the page: animation frames asked for, listeners on document and window. */
function count() {
  const counts = { frames: new Set(), drawn: 0, listeners: 0 };
  window.counts = counts;
  const ask = window.requestAnimationFrame.bind(window);
  const cancel = window.cancelAnimationFrame.bind(window);
  window.requestAnimationFrame = (run) => {
    const id = ask((now) => {
      counts.frames.delete(id);
      counts.drawn += 1;
      run(now);
    });
    counts.frames.add(id);
    return id;
  };
  window.cancelAnimationFrame = (id) => {
    counts.frames.delete(id);
    cancel(id);
  };
  for (const target of [document, window]) {
    const add = target.addEventListener.bind(target);
    const remove = target.removeEventListener.bind(target);
    const known = new Map();
    target.addEventListener = (/** @type {string} */ type, /** @type {any} */ run, /** @type {any} */ options) => {
      const key = `${type} ${Boolean(options?.capture ?? options)}`;
      const of = known.get(run) ?? known.set(run, new Set()).get(run);
      if (!of.has(key)) counts.listeners += 1;
      of.add(key);
      options?.signal?.addEventListener('abort', () => {
        if (of.delete(key)) counts.listeners -= 1;
      });
      add(type, run, options);
    };
    target.removeEventListener = (/** @type {string} */ type, /** @type {any} */ run, /** @type {any} */ options) => {
      if (known.get(run)?.delete(`${type} ${Boolean(options?.capture ?? options)}`)) counts.listeners -= 1;
      remove(type, run, options);
    };
  }
}

/**
 * @param {{touch?: boolean, density?: number}} [how]
 */
export async function openWidget({ touch = false, density = 1 } = {}) {
  const server = await serve();
  const browser = await launch();
  const context = await browser.newContext({
    viewport: { width: 560, height: 760 },
    hasTouch: touch,
    deviceScaleFactor: density,
  });
  const page = await context.newPage();
  /** @type {string[]} */
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  await page.addInitScript(count);
  await page.goto(server.url);
  await page.waitForFunction(() => window.ready);
  return new Widget(page, errors, async () => {
    await browser.close();
    await server.close();
  });
}

/** @typedef {'free' | 'plan' | 'side' | 'front' | 'lens' | 'lenses'} Kind */

export class Widget {
  /**
   * @param {import('playwright-core').Page} page
   * @param {string[]} errors  of the page
   * @param {() => Promise<void>} close
   */
  constructor(page, errors, close) {
    this.page = page;
    this.errors = errors;
    this.close = close;
  }

  /** @param {string} text @param {object} [settings] */
  async open(text, settings = {}) {
    await this.page.evaluate(([t, s]) => {
      window.editor?.destroy();
      window.open_editor(t, s);
    }, /** @type {const} */ ([text, settings]));
    await this.settled();
  }

  /** Everything that was asked for is drawn. */
  async settled() {
    await this.page.waitForFunction(() => document.styleSheets.length > 1 && window.editor.loop.visible);
    await this.page.evaluate(
      () =>
        new Promise((done) => {
          requestAnimationFrame(() => requestAnimationFrame(done));
        }),
    );
  }

  /** @returns {Promise<string>} */
  text() {
    return this.page.evaluate(() => window.editor.session.text);
  }

  /** @returns {Promise<any>} */
  async document() {
    return JSON.parse(await this.text());
  }

  /** Texts that the host was told, in order. @returns {Promise<string[]>} */
  told() {
    return this.page.evaluate(() => window.host.texts);
  }

  /**
   * Where a world point is on the page, in the pane of a kind.
   *
   * @param {Kind} kind
   * @param {number[]} point
   */
  at(kind, point) {
    return this.page.evaluate(([k, p]) => {
      const pane = window.editor.panes.find((of) => of.kind === k);
      if (!pane?.projection) throw new Error(`no pane ${k}`);
      const box = pane.canvas.getBoundingClientRect();
      const { x, y } = pane.projection.project(p);
      return { x: box.left + x, y: box.top + y };
    }, /** @type {const} */ ([kind, point]));
  }

  /**
   * Drag with the mouse in a pane, from one world point to another.
   *
   * @param {Kind} kind
   * @param {number[]} from
   * @param {number[]} to
   * @param {{key?: string, steps?: number}} [how]
   */
  async drag(kind, from, to, { key, steps = 6 } = {}) {
    const [a, b] = [await this.at(kind, from), await this.at(kind, to)];
    const { mouse, keyboard } = this.page;
    await mouse.move(a.x, a.y);
    if (key) await keyboard.down(key);
    await mouse.down();
    await mouse.move(b.x, b.y, { steps });
    await mouse.up();
    if (key) await keyboard.up(key);
    await this.settled();
  }

  /** Press what has a title that begins so. @param {string} title */
  async press(title) {
    await this.page.locator(`.cvd-editor [title^="${title}"]`).first().click();
    await this.settled();
  }

  /** @param {string} name */
  async tab(name) {
    await this.page.locator('.cvd-tabs [role=tab]', { hasText: name }).click();
    await this.settled();
  }

  /** Type into a field of the panel. @param {string} label @param {string} value */
  async fill(label, value) {
    const field = this.page.locator(`.cvd-sheet [aria-label="${label}"]`);
    await field.fill(value);
    await field.press('Enter');
    await this.settled();
  }
}
