/** Several keyframes, shared targets, whole paths, numbers of views and frames, and panes that keep everything in sight. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { boxOf, whyNoBrowser } from '../chromium.js';
import { openWidget, TWO_VIEWS } from './widget.js';

describe.skipIf(whyNoBrowser)('more than one', () => {
  /** @type {import('./widget.js').Widget} */
  let widget;
  beforeAll(async () => {
    widget = await openWidget();
  });
  afterAll(() => widget?.close());
  beforeEach(() => widget.open(TWO_VIEWS, { views: 2 }));

  const keyframes = async (view = 0) => (await widget.document()).views[view].keyframes;
  const selection = () => widget.page.evaluate(() => window.editor.session.selection);
  const click = async (/** @type {number[]} */ point, key = '') => {
    const { x, y } = await widget.at('plan', point);
    if (key) await widget.page.keyboard.down(key);
    await widget.page.mouse.click(x, y);
    if (key) await widget.page.keyboard.up(key);
    await widget.settled();
  };
  /** The largest distance of a point that must be in sight from within a pane, in pixels: 0 if all are. */
  const outOfSight = () =>
    widget.page.evaluate(() =>
      Math.max(
        ...window.editor.panes
          .filter(({ kind }) => kind === 'plan' || kind === 'side')
          .flatMap(({ projection, canvas }) =>
            (window.editor.session.document?.views ?? []).flatMap(({ keyframes: keys = [] }) =>
              keys.map(({ position }) => {
                const { x, y } = projection.project(position);
                return Math.max(-x, -y, x - canvas.clientWidth, y - canvas.clientHeight, 0);
              }),
            ),
          ),
      ),
    );

  test('a target that views share moves for all of them, with Alt for one keyframe', async () => {
    await widget.drag('plan', [0, 0, 1], [0.2, 0, 1.2]);
    const [left, right] = [await keyframes(0), await keyframes(1)];
    const [target] = [left[0].look_at];
    expect(target[0]).toBeCloseTo(0.2, 1);
    for (const key of [...left, ...right]) expect(key.look_at).toEqual(target);
    await click([-0.5, 0, 0.1]);
    expect(await selection()).toEqual({ view: 0, key: 1, others: [] });
    await widget.drag('plan', target, [0.5, 0, 1], { key: 'Alt' });
    const all = [...(await keyframes(0)), ...(await keyframes(1))];
    expect(all.filter(({ look_at: aim }) => String(aim) === String(target))).toHaveLength(3);
  });

  test('Shift+click takes keyframes into the selection and out of it; they move and are deleted together', async () => {
    await widget.press('All views start from one pose');
    await click([-0.5, 0, 0.1]);
    await click([0.5, 0, 0.1], 'Shift');
    expect(await selection()).toEqual({ view: 1, key: 1, others: [{ view: 0, key: 1 }] });
    await widget.drag('plan', [0.5, 0, 0.1], [0.6, 0, 0.3]);
    const moved = [(await keyframes(0))[1].position, (await keyframes(1))[1].position];
    expect(moved[1][0]).toBeCloseTo(0.6, 1);
    expect(moved[0][0] - moved[1][0]).toBeCloseTo(-1, 6);
    expect(moved[0][2]).toBeCloseTo(moved[1][2], 6);
    expect(await widget.told()).toHaveLength(1);
    await widget.page.keyboard.press('Delete');
    await widget.settled();
    expect([(await keyframes(0)).length, (await keyframes(1)).length]).toEqual([1, 1]);
    await widget.page.keyboard.press('Control+z');
    await widget.settled();
    expect((await keyframes(0)).length).toBe(2);
    await click([-0.4, 0, 0.3]);
    expect((await selection()).others).toEqual([]);
    expect(widget.errors).toEqual([]);
  });

  test('a rectangle drawn with Shift selects what is in it', async () => {
    const [a, b] = [await widget.at('plan', [-0.7, 0, 0.25]), await widget.at('plan', [0.7, 0, -0.06])];
    await widget.page.keyboard.down('Shift');
    await widget.page.mouse.move(a.x, a.y);
    await widget.page.mouse.down();
    await widget.page.mouse.move(b.x, b.y, { steps: 4 });
    await widget.page.mouse.up();
    await widget.page.keyboard.up('Shift');
    await widget.settled();
    const { others } = await selection();
    expect(others).toHaveLength(3);
  });

  test('a whole path is moved, turned and scaled by its handles', async () => {
    await widget.press('All views start from one pose');
    await widget.press('Move, turn and scale');
    const handle = (/** @type {string} */ kind) =>
      widget.page.evaluate(
        (k) => /** @type {any} */ (window.editor.panes[1].handles.find((of) => of.kind === k)).point,
        kind,
      );
    const scale = await handle('scale');
    await widget.drag('plan', scale, [scale[0], 0, 2 * scale[2]]);
    expect((await keyframes())[1].position[0]).toBeCloseTo(-1, 1);
    const turn = await handle('turn');
    await widget.drag('plan', turn, [0, 0, turn[0]]);
    expect((await keyframes())[1].position[2]).toBeLessThan(-0.7);
    expect((await keyframes())[0].look_at[0]).toBeLessThan(-1.5);
    await widget.drag('plan', await handle('shift'), [0.3, 0, 0.3]);
    expect((await keyframes())[0].position[0]).toBeCloseTo(0.3, 1);
    expect((await keyframes(1))[0].position).toEqual([0, 0, 0]);
    expect(await widget.told()).toHaveLength(3);
    expect(widget.errors).toEqual([]);
  });

  test('views and frames are numbers in the editor', async () => {
    const set = async (/** @type {string} */ label, /** @type {string} */ value) => {
      const field = widget.page.locator(`.cvd-counts [aria-label="${label}"]`);
      await field.fill(value);
      await field.press('Enter');
      await widget.settled();
    };
    await set('Number of frames', '24');
    expect(await widget.page.evaluate(() => window.host.settings)).toEqual({ frames: 24 });
    expect(await widget.page.evaluate(() => window.editor.session.frames)).toBe(24);
    await set('Number of views', '4');
    expect((await widget.document()).views).toHaveLength(4);
    await set('Number of views', '1.5');
    expect((await widget.document()).views).toHaveLength(4);
    await widget.open('{"version": 2, "rig": {"name": "orbit"}}', { views: 2 });
    await set('Number of views', '5');
    expect(await widget.page.evaluate(() => window.editor.session.built.views.length)).toBe(5);
    expect((await widget.document()).rig).toEqual({ name: 'orbit' });
  });

  test('a lens is set in millimetres', async () => {
    await widget.fill('Lens in millimetres on a 36 mm wide sensor', '50');
    const { focal } = (await keyframes())[0];
    expect(focal).toBeCloseTo(50 / 36, 9);
  });

  test('panes keep everything in sight: after an import, another rig, and a drag out of the pane', async () => {
    const far = JSON.stringify({
      version: 2,
      views: [{ keyframes: [{ position: [-20, 0, 0] }, { position: [30, -8, 40] }] }],
    });
    await widget.page.evaluate((text) => window.editor.files.importTexts([{ name: 'far.json', text }]), far);
    await widget.settled();
    expect(await outOfSight()).toBe(0);
    await widget.open(TWO_VIEWS, { views: 2 });
    const box = await boxOf(widget.page.locator('.cvd-pane').nth(1));
    const { x, y } = await widget.at('plan', [0.5, 0, 0.1]);
    await widget.page.mouse.move(x, y);
    await widget.page.mouse.down();
    await widget.page.mouse.move(box.x + box.width + 150, y, { steps: 5 });
    await widget.settled();
    expect(await outOfSight()).toBeGreaterThan(50); // not while it is dragged
    await widget.page.mouse.up();
    await widget.settled();
    expect(await outOfSight()).toBe(0);
    const scale = () => widget.page.evaluate(() => window.editor.panes[1].projection.scale);
    const before = await scale();
    await widget.press('Start from a rig');
    await widget.page.locator('.cvd-menu [role=menuitem]', { hasText: 'stereo' }).click();
    await widget.settled();
    expect(await scale()).toBeGreaterThan(1.2 * before);
  });

  test('cameras around the subject: a lead-in from one start, and a word to those without', async () => {
    await widget.press('Start from a rig');
    await widget.page.locator('.cvd-menu [role=menuitem]', { hasText: 'around 180' }).click();
    await widget.settled();
    const { views } = await widget.document();
    expect(views).toHaveLength(2);
    expect(views[0].keyframes[0]).toEqual(views[1].keyframes[0]);
    await widget.press('Start from a rig');
    await widget.page.locator('.cvd-menu [role=menuitem]', { hasText: 'standing' }).click();
    await widget.settled();
    expect(await widget.page.locator('.cvd-toast').innerText()).toContain('one common start');
    await widget.tab('Checks');
    expect(await widget.page.locator('.cvd-check').first().innerText()).toMatch(/start/);
  });
});
