/** Drawing with mouse, keys and fields; every edit is one step of undo and reaches the host. */

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { boxOf, whyNoBrowser } from '../chromium.js';
import { openWidget, TWO_VIEWS } from './widget.js';

const RIG = JSON.stringify({ version: 2, rig: { name: 'circle', distance: 0.5 } });

describe.skipIf(whyNoBrowser)('editing', () => {
  /** @type {import('./widget.js').Widget} */
  let widget;
  beforeAll(async () => {
    widget = await openWidget();
  });
  afterAll(() => widget?.close());
  beforeEach(() => widget.open(TWO_VIEWS, { views: 2 }));

  const lastPosition = async (view = 0) => (await widget.document()).views[view].keyframes.at(-1).position;

  test.each([
    ['plan', [-0.8, 0, 0.4], [0, 2]],
    ['side', [-0.5, -0.3, 0.3], [1, 2]],
    ['front', [-0.3, 0.2, 0.1], [0, 1]],
  ])('a keyframe dragged in the %s pane moves in its plane only', async (kind, to, axes) => {
    if (kind === 'front') await widget.page.locator('.cvd-pane-tools select').nth(2).selectOption('front');
    await widget.settled();
    await widget.drag(/** @type {any} */ (kind), [-0.5, 0, 0.1], to);
    const position = await lastPosition();
    for (const axis of [0, 1, 2]) {
      if (axes.includes(axis)) expect(position[axis]).toBeCloseTo(to[axis], 1);
      else expect(position[axis]).toBe([-0.5, 0, 0.1][axis]);
    }
    expect(widget.errors).toEqual([]);
  });

  test('a drag in the free pane follows the pointer', async () => {
    const to = [-0.4, -0.2, 0.2];
    const target = await widget.at('free', to);
    await widget.drag('free', [-0.5, 0, 0.1], to);
    const landed = await widget.at('free', await lastPosition());
    expect(Math.hypot(landed.x - target.x, landed.y - target.y)).toBeLessThan(1.5);
  });

  test('one drag is one step of undo, and the host hears of each text once', async () => {
    const before = await widget.text();
    await widget.drag('plan', [-0.5, 0, 0.1], [-0.8, 0, 0.5], { steps: 20 });
    const after = await widget.text();
    expect(await widget.told()).toEqual([after]);
    await widget.page.keyboard.press('Control+z');
    await widget.settled();
    expect(await widget.text()).toBe(before);
    await widget.page.keyboard.press('Control+Shift+Z');
    await widget.settled();
    expect(await widget.text()).toBe(after);
    expect(await widget.told()).toEqual([after, before, after]);
  });

  test('Shift keeps a drag on one axis, Ctrl snaps it', async () => {
    await widget.drag('plan', [-0.5, 0, 0.1], [-0.3, 0, 0.15], { key: 'Shift' });
    expect((await lastPosition())[2]).toBe(0.1);
    await widget.drag('plan', await lastPosition(), [-0.41, 0, 0.33], { key: 'Control' });
    for (const value of await lastPosition()) expect(value * 20).toBeCloseTo(Math.round(value * 20), 9);
  });

  test('an end of a rig is drawn away: all views become keyframes, the others as they were', async () => {
    await widget.open(RIG, { views: 3 });
    const ends = () => widget.page.evaluate(() => window.editor.session.built.views.map((view) => [...view.c2w]));
    const before = await ends();
    await widget.drag('plan', [0.5, 0, 0], [0.5, 0, 0.4]);
    const document = await widget.document();
    expect(document.rig).toBeUndefined();
    expect(document.views).toHaveLength(3);
    expect(await widget.page.evaluate(() => window.host.views)).toBe(3);
    expect(document.views[0].keyframes.at(-1).position[2]).toBeCloseTo(0.4, 1);
    const after = await ends();
    for (const v of [1, 2]) after[v].forEach((value, i) => expect(value).toBeCloseTo(before[v][i], 6));
  });

  test('locked starts move together; freed ones are warned about and can be brought back', async () => {
    await widget.drag('plan', [0, 0, 0], [0.1, 0, 0.2]);
    let { views } = await widget.document();
    expect(views[1].keyframes[0]).toEqual(views[0].keyframes[0]);
    await widget.press('All views start from one pose');
    const start = views[0].keyframes[0].position;
    await widget.drag('plan', start, [-0.1, 0, 0.1]);
    ({ views } = await widget.document());
    expect(views[1].keyframes[0].position).not.toEqual(views[0].keyframes[0].position);
    await widget.tab('Checks');
    expect(await widget.page.locator('.cvd-check').allInnerTexts()).toContainEqual(
      expect.stringMatching(/first pose|start/i),
    );
    await widget.page.getByText('Give all one start').click();
    await widget.settled();
    ({ views } = await widget.document());
    expect(views[1].keyframes[0].position).toEqual(views[0].keyframes[0].position);
  });

  test('a target takes all keyframes that share it along, with Alt only one', async () => {
    await widget.drag('plan', [0, 0, 1], [0.3, 0, 1.4]);
    const [{ keyframes }] = (await widget.document()).views;
    expect(keyframes[1].look_at).toEqual(keyframes[0].look_at);
    expect(keyframes[1].look_at[0]).toBeCloseTo(0.3, 1);
  });

  test('a path is drawn by hand', async () => {
    await widget.press('Draw the selected view');
    const { mouse } = widget.page;
    const points = Array.from({ length: 30 }, (_, i) => [-0.6 * Math.sin(i / 12), 0, (0.4 * i) / 29]);
    for (const [i, point] of points.entries()) {
      const { x, y } = await widget.at('plan', point);
      await mouse.move(x, y);
      if (i === 0) await mouse.down();
    }
    await mouse.up();
    await widget.settled();
    const { keyframes } = (await widget.document()).views[0];
    expect(keyframes.length).toBeGreaterThan(2);
    expect(keyframes.length).toBeLessThan(16);
    expect(keyframes.at(-1).position[0]).toBeCloseTo(points[29][0], 1);
    expect(keyframes.at(-1).position[2]).toBeCloseTo(points[29][2], 1);
    expect(await widget.told()).toHaveLength(1);
  });

  test('fields set numbers exactly; what is no number is not taken', async () => {
    await widget.page.evaluate(() => window.editor.session.select(0, 1));
    await widget.settled();
    await widget.fill('Position, right', '-0.625');
    expect((await lastPosition())[0]).toBe(-0.625);
    const before = await widget.text();
    await widget.fill('Position, right', 'one');
    await widget.fill('Horizontal field of view in degrees', '-5');
    expect(await widget.text()).toBe(before);
    await widget.fill('Horizontal field of view in degrees', '90');
    expect((await widget.document()).views[0].keyframes[1].focal).toBeCloseTo(0.5, 12);
  });

  test('keys add, duplicate, nudge and delete keyframes', async () => {
    const { keyboard } = widget.page;
    const { x, y } = await widget.at('plan', [-0.5, 0, 0.1]);
    await widget.page.mouse.click(x, y);
    await keyboard.press('ArrowLeft');
    await widget.settled();
    expect((await lastPosition())[0]).toBeCloseTo(-0.51, 9);
    await widget.page.evaluate(() => window.editor.session.setFrame(7));
    await keyboard.press('k');
    await widget.settled();
    expect((await widget.document()).views[0].keyframes).toHaveLength(3);
    await keyboard.press('Delete');
    await widget.settled();
    expect((await widget.document()).views[0].keyframes).toHaveLength(2);
  });

  test('keys that the editor takes do not reach the page', async () => {
    await widget.page.evaluate(() => {
      window.heard = [];
      document.addEventListener('keydown', (event) => window.heard.push(event.key));
    });
    const { x, y } = await widget.at('plan', [0.2, 0, 0.8]);
    await widget.page.mouse.click(x, y);
    for (const key of ['Delete', ' ', 'k', 'Control+z', 'q']) await widget.page.keyboard.press(key);
    expect(await widget.page.evaluate(() => window.heard)).toEqual(['Control', 'q']);
    await widget.page.keyboard.press(' ');
  });

  test('the curve of a speed graph is drawn and dragged', async () => {
    await widget.tab('Speed');
    const graph = widget.page.locator('.cvd-curve canvas');
    const box = await boxOf(graph);
    await graph.dblclick({ position: { x: box.width / 2, y: box.height / 2 } });
    await widget.settled();
    let { easing } = (await widget.document()).views[0];
    expect(easing).toHaveLength(1);
    await widget.page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await widget.page.mouse.down();
    await widget.page.mouse.move(box.x + box.width / 2, box.y + box.height * 0.8, { steps: 5 });
    await widget.page.mouse.up();
    await widget.settled();
    ({ easing } = (await widget.document()).views[0]);
    expect(easing[0][0]).toBeCloseTo(0.5, 1);
    expect(easing[0][1]).toBeLessThan(0.3);
    expect(await widget.told()).toHaveLength(2);
  });

  test('keyframes are retimed on the time line, and made even again', async () => {
    await widget.page.evaluate(() => window.editor.session.run(window.commands.addKeyframe, 0, 8));
    await widget.settled();
    const place = await widget.page.evaluate(() => {
      const box = document.querySelector('.cvd-track canvas').getBoundingClientRect();
      return { left: box.left + 10, width: box.width - 20, y: box.bottom - 9 };
    });
    const x = (/** @type {number} */ frame) => place.left + (frame / 15) * place.width;
    const frameOf = () =>
      widget.page.evaluate(() => /** @type {any} */ (window.editor.session.built.views[0].keyframes)[1].frame);
    await widget.page.mouse.move(x(await frameOf()), place.y);
    await widget.page.mouse.down();
    await widget.page.mouse.move(x(4), place.y, { steps: 6 });
    await widget.page.mouse.up();
    await widget.settled();
    expect(await frameOf()).toBeCloseTo(4, 6);
    await widget.press('Drop the times');
    expect((await widget.document()).views[0].keyframes[1].time).toBeUndefined();
  });

  test('scrubbing and playing move the frame', async () => {
    const frame = () => widget.page.evaluate(() => window.editor.session.frame);
    const box = await boxOf(widget.page.locator('.cvd-track canvas'));
    await widget.page.mouse.click(box.x + box.width - 10, box.y + 15);
    expect(await frame()).toBe(15);
    await widget.press('First frame');
    expect(await frame()).toBe(0);
    await widget.page.locator('[title^="Play"]').click();
    await widget.page.waitForFunction(() => window.editor.session.frame >= 2);
    await widget.page.locator('[title^="Stop"]').click();
    expect(widget.errors).toEqual([]);
  });

  test('menus give rigs and moves; the views follow', async () => {
    await widget.press('Start from a rig');
    await widget.page.locator('.cvd-menu [role=menuitem]', { hasText: 'orbit' }).click();
    await widget.settled();
    expect((await widget.document()).rig.name).toBe('orbit');
    await widget.press('Give the selected view');
    await widget.page.locator('.cvd-menu [role=menuitem]', { hasText: 'truck' }).click();
    await widget.settled();
    const { views } = await widget.document();
    expect(views[0].moves.map((/** @type {any} */ move) => move.name)).toEqual(['truck']);
    await widget.press('Add a view');
    expect((await widget.document()).views).toHaveLength(views.length + 1);
    expect(widget.errors).toEqual([]);
  });

  test('a turned camera is aimed and rolled by its handles', async () => {
    await widget.open(
      JSON.stringify({
        version: 2,
        views: [{ keyframes: [{ position: [0, 0, 0] }, { position: [0.4, 0, 0], rotation: [0, 0, 0, 1] }] }],
      }),
      { views: 1 },
    );
    await widget.page.evaluate(() => window.editor.session.select(0, 1));
    await widget.settled();
    const handle = (/** @type {string} */ kind) =>
      widget.page.evaluate(
        (k) => /** @type {any} */ (window.editor.panes[1].handles.find((of) => of.kind === k)).point,
        kind,
      );
    const axis = (/** @type {number} */ column) =>
      widget.page.evaluate((c) => {
        const { c2w } = /** @type {any} */ (window.editor.session.built.views[0].keyframes)[1];
        return [0, 4, 8].map((row) => c2w[row + c]);
      }, column);
    const aim = await handle('aim');
    await widget.drag('plan', aim, [aim[0] + 0.2, 0, aim[2] - 0.08]);
    const forward = await axis(2);
    const wanted = Math.atan2(aim[0] + 0.2 - 0.4, aim[2] - 0.08);
    expect(Math.atan2(forward[0], forward[2])).toBeCloseTo(wanted, 1);
    await widget.page.locator('.cvd-pane-tools select').nth(2).selectOption('front');
    await widget.settled();
    const up = await handle('roll');
    await widget.drag('front', up, [up[0] + 0.15, up[1] + 0.04, up[2]]);
    const down = await axis(1);
    expect(-down[0]).toBeGreaterThan(0.2);
    expect((await axis(2))[0]).toBeCloseTo(forward[0], 6);
  });

  test('paths are mirrored, moved, copied, renamed and coloured', async () => {
    await widget.tab('View');
    const ends = async () =>
      (await widget.document()).views.map((/** @type {any} */ view) => view.keyframes.at(-1).position);
    await widget.press('Swap left and right');
    expect((await ends())[0][0]).toBeCloseTo(0.5, 6);
    await widget.fill('Offset along y', '-0.25');
    await widget.press('Move the whole path');
    expect((await ends())[0][1]).toBeCloseTo(-0.25, 6);
    expect((await widget.document()).views[0].keyframes[0].position[1]).toBeCloseTo(-0.25, 6);
    await widget.page.locator('[aria-label="Take the path of another view"]').selectOption('1');
    await widget.settled();
    expect((await ends())[0]).toEqual((await ends())[1]);
    await widget.fill('Name', 'east');
    await widget.page.locator('[aria-label="Colour"]').fill('#12ab34');
    await widget.settled();
    const [view] = (await widget.document()).views;
    expect([view.name, view.color]).toEqual(['east', '#12ab34']);
    await widget.press('Duplicate this view');
    await widget.press('Delete this view');
    expect((await widget.document()).views).toHaveLength(2);
  });

  test.each([
    ['JSON', 1, /json$/],
    ['transforms.json', 1, /json$/],
    ['pose files', 2, /txt$/],
  ])('saved as %s, it can be loaded again', async (what, count, name) => {
    const before = await widget.page.evaluate(() => window.editor.session.built.views.map((view) => [...view.c2w]));
    /** @type {import('playwright-core').Download[]} */
    const downloads = [];
    widget.page.on('download', (download) => downloads.push(download));
    await widget.press('Copy, paste, import');
    await widget.page.locator('.cvd-menu [role=menuitem]', { hasText: `Save as ${what}` }).click();
    await expect.poll(() => downloads.length).toBe(count);
    widget.page.removeAllListeners('download');
    const files = await Promise.all(
      downloads.map(async (download) => ({
        name: download.suggestedFilename(),
        text: readFileSync(await download.path(), 'utf8'),
      })),
    );
    for (const file of files) expect(file.name).toMatch(name);
    await widget.press('Copy, paste, import');
    await widget.page.locator('.cvd-menu [role=menuitem]', { hasText: 'Reset' }).click();
    await widget.settled();
    expect((await widget.document()).rig.name).toBe('circle');
    await widget.page.evaluate((list) => window.editor.files.importTexts(list), files);
    await widget.settled();
    const after = await widget.page.evaluate(() => window.editor.session.built.views.map((view) => [...view.c2w]));
    expect(after).toHaveLength(2);
    after.flat().forEach((value, i) => expect(Math.abs(value - before.flat()[i])).toBeLessThan(5e-3));
  });

  test('copy gives the text, paste takes one', async () => {
    const { x, y } = await widget.at('plan', [0.2, 0, 0.8]);
    await widget.page.mouse.click(x, y);
    const copied = await widget.page.evaluate(() => {
      const data = new DataTransfer();
      document.activeElement?.dispatchEvent(
        new ClipboardEvent('copy', { clipboardData: data, bubbles: true, cancelable: true }),
      );
      return data.getData('text/plain');
    });
    expect(JSON.parse(copied)).toEqual(await widget.document());
    await widget.page.evaluate((text) => {
      const data = new DataTransfer();
      data.setData('text/plain', text);
      document.activeElement?.dispatchEvent(
        new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }),
      );
    }, RIG);
    await widget.settled();
    expect((await widget.document()).rig.name).toBe('circle');
  });
});
