/** What the panes use: projections, what a pointer hits, and the way back. */

import { describe, expect, test } from 'vitest';
import { handleAt } from '../../../web/js/editor/panes/handles.js';
import { History } from '../../../web/js/trajectory/history.js';
import { FreeCamera, FrontView, PlanView, SideView } from '../../../web/js/trajectory/projection.js';
import { random } from './samples.js';

const VIEWS = [PlanView, SideView, FrontView, FreeCamera];
const next = random(11);
const point = () => [next() * 4 - 2, next() * 4 - 2, next() * 4 - 2];

/** A point in the middle of what it shows. @param {PlanView | FreeCamera} view */
const middleOf = (view) => ('target' in view ? view.target : view.middle);

describe.each(VIEWS)('%o', (View) => {
  const make = () => {
    const view = new View();
    view.setSize(400, 300);
    view.fit([
      [-2, -2, -2],
      [2, 2, 2],
    ]);
    return view;
  };

  test('what is unprojected projects to where it was', () => {
    const view = make();
    for (let n = 0; n < 50; n++) {
      const through = point();
      const [x, y] = [next() * 400, next() * 300];
      const at = view.project(view.unproject(x, y, through));
      expect(at.x).toBeCloseTo(x, 6);
      expect(at.y).toBeCloseTo(y, 6);
      expect(at.depth).toBeCloseTo(view.project(through).depth, 6);
      const seen = view.project(through);
      view.unproject(seen.x, seen.y, through).forEach((value, i) => expect(value).toBeCloseTo(through[i], 6));
    }
  });

  test('the place that is zoomed at stays', () => {
    const view = make();
    const under = view.unproject(320, 40, middleOf(view));
    const before = view.project([0.5, 0.5, 0.5]);
    view.zoomAt(320, 40, 1.7);
    expect(view.project(under)).toMatchObject({ x: expect.closeTo(320, 6), y: expect.closeTo(40, 6) });
    expect(view.project([0.5, 0.5, 0.5]).x).not.toBeCloseTo(before.x, 1);
  });

  test('panning moves the world with the pointer', () => {
    const view = make();
    const under = view.unproject(200, 150, middleOf(view));
    view.pan(30, -20);
    expect(view.project(under)).toMatchObject({ x: expect.closeTo(230, 6), y: expect.closeTo(130, 6) });
  });

  test('what is fitted is in the pane, whatever its shape and size', () => {
    for (const [width, height] of [
      [400, 300],
      [100, 500],
      [1, 1],
    ]) {
      for (const size of [1e-3, 1, 1e4]) {
        const view = make();
        view.setSize(width, height);
        const points = Array.from({ length: 20 }, () => point().map((value) => value * size + 5));
        view.fit(points);
        for (const at of points.map((each) => view.project(each))) {
          expect(at.x).toBeGreaterThanOrEqual(0);
          expect(at.x).toBeLessThanOrEqual(width);
          expect(at.y).toBeGreaterThanOrEqual(0);
          expect(at.y).toBeLessThanOrEqual(height);
          if ('near' in view) expect(at.depth).toBeGreaterThan(view.near);
        }
      }
    }
    const empty = make();
    empty.fit([]);
    expect(Number.isFinite(empty.project([0, 0, 0]).x)).toBe(true);
  });
});

test('right, up and forward are where the panes say', () => {
  const at = (/** @type {any} */ View, /** @type {any} */ world) => {
    const view = new View();
    view.setSize(200, 200);
    const { x, y } = view.project(world);
    return [Math.sign(x - 100), Math.sign(y - 100)];
  };
  expect(at(PlanView, [1, 0, 0])).toEqual([1, 0]);
  expect(at(PlanView, [0, 0, 1])).toEqual([0, -1]);
  expect(at(SideView, [0, 0, 1])).toEqual([1, 0]);
  expect(at(SideView, [0, 1, 0])).toEqual([0, 1]);
  expect(at(FrontView, [1, 0, 0])).toEqual([1, 0]);
  expect(at(FrontView, [0, 1, 0])).toEqual([0, 1]);
});

test('the free camera turns the world with the pointer and never over the top', () => {
  const view = new FreeCamera();
  view.setSize(400, 300);
  const near = view
    .unproject(200, 200, view.target)
    .map((value, i) => value + 0.5 * (view.position[i] - view.target[i]));
  const before = view.project(near);
  view.orbit(20, 0);
  expect(view.project(near).x).toBeGreaterThan(before.x);
  view.orbit(0, 1e6);
  expect(view.pitch).toBeLessThan(Math.PI / 2);
  expect(view.project(view.target)).toMatchObject({ x: expect.closeTo(200, 6), y: expect.closeTo(150, 6) });
});

test('what lies behind the free camera has a depth below near, even along a segment', () => {
  const view = new FreeCamera();
  view.setSize(400, 300);
  const behind = view.position.map((value, i) => 2 * value - view.target[i]);
  const [a, b] = [view.project(behind).depth, view.project(view.target).depth];
  expect(a).toBeLessThan(view.near);
  expect(view.project(behind.map((value, i) => (value + view.target[i]) / 2)).depth).toBeCloseTo((a + b) / 2, 9);
  expect(Number.isFinite(view.project(view.position).x)).toBe(true);
});

test('the nearest handle in reach is hit, that of the selected view first', () => {
  const view = new PlanView();
  view.setSize(400, 300);
  const handle = (
    /** @type {'key'} */ kind,
    /** @type {number} */ v,
    /** @type {number} */ key,
    /** @type {any} */ at,
  ) => ({ kind, view: v, key, point: at, from: at });
  const handles = [handle('key', 0, 0, [0, 0, 0]), handle('key', 1, 0, [0, 0, 0]), handle('key', 0, 1, [0.1, 0, 0])];
  const { x, y } = view.project([0, 0, 0]);
  expect(handleAt(handles, view, x + 1, y, 9, 1)).toBe(handles[1]);
  expect(handleAt(handles, view, x + 8, y, 9, 0)).toBe(handles[2]);
  expect(handleAt(handles, view, x, y + 40, 9, 0)).toBeNull();
});

describe('history', () => {
  test('goes back and on again; a new step ends what could be redone', () => {
    const history = new History('a');
    expect([history.canUndo, history.canRedo]).toEqual([false, false]);
    ['b', 'b', 'c'].forEach((text) => history.push(text));
    expect([history.undo(), history.undo(), history.undo()]).toEqual(['b', 'a', 'a']);
    expect(history.redo()).toBe('b');
    history.push('d');
    expect(history.canRedo).toBe(false);
    expect([history.redo(), history.undo(), history.text]).toEqual(['d', 'b', 'b']);
  });

  test('forgets the oldest of very many steps', () => {
    const history = new History('0');
    for (let n = 1; n < 1000; n++) history.push(String(n));
    let steps = 0;
    while (history.canUndo) {
      history.undo();
      steps++;
    }
    expect(steps).toBe(199);
    expect(history.text).toBe('800');
  });
});
