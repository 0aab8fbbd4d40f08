/**
 * Small helpers around the DOM. Data from files and texts only ever becomes text nodes and attribute values. Strings are
 * words of the editor, shown in the host's language; what users have named is given as a text node.
 */

import { t } from './language.js';

/**
 * An element with properties, listeners (`onclick` and the like) and children.
 *
 * @param {string} tag
 * @param {Record<string, any>} [properties]  `class`, `on*` functions, DOM properties; anything else is an attribute
 * @param {...(Node | string | null | false | undefined | (Node | string | null | false | undefined)[])} children
 * @returns {any}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'title' || name === 'aria-label') {
      element.setAttribute(name, t(value));
      continue;
    }
    if (name === 'class') element.className = value;
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name in element) /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  fill(element, ...children);
  return element;
}

/**
 * Replace what `element` holds.
 *
 * @param {Element} element
 * @param {...(Node | string | null | false | undefined | (Node | string | null | false | undefined)[])} children
 */
export function fill(element, ...children) {
  const kept = children.flat().filter((child) => child !== null && child !== undefined && child !== false);
  const shown = /** @type {(Node | string)[]} */ (kept);
  element.replaceChildren(...shown.map((child) => (typeof child === 'string' ? t(child) : child)));
}

/** Strokes on a 16 x 16 field. */
const ICONS = {
  undo: 'M6 3 2.5 6.5 6 10M3 6.5h6.5a4 4 0 0 1 0 8H6',
  redo: 'M10 3l3.5 3.5L10 10M13 6.5H6.5a4 4 0 0 0 0 8H10',
  play: 'M5 3v10l8-5z',
  pause: 'M5 3v10M11 3v10',
  first: 'M4 3v10M13 3 6.5 8l6.5 5z',
  loop: 'M3 8a4 4 0 0 1 4-4h6M10.5 1.5 13 4l-2.5 2.5M13 8a4 4 0 0 1-4 4H3m2.5 2.5L3 12l2.5-2.5',
  plus: 'M8 3v10M3 8h10',
  path: 'M2.5 12.5c3-9 8 1 11-8M2.5 12.5h.1M13.5 4.5h.1M8 1.5v3M6.5 3h3',
  pencil: 'M3 13l.7-3L11 2.7 13.3 5 6 12.3zM9.5 4.2l2.3 2.3',
  move: 'M4 2l8.5 6-4 .8L6.5 13z',
  lock: 'M4 7.5h8V14H4zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5',
  unlock: 'M4 7.5h8V14H4zM5.5 7.5V5a2.5 2.5 0 0 1 4.8-1',
  expand: 'M9.5 2.5h4v4M6.5 13.5h-4v-4M13.5 2.5 9 7M2.5 13.5 7 9',
  shrink: 'M13 7H9V3M3 9h4v4M9 7l4.5-4.5M7 9l-4.5 4.5',
  copy: 'M5.5 5.5h8v8h-8zM5.5 10.5h-3v-8h8v3',
  trash: 'M3 4.5h10M6 4.5V2.5h4v2M4.5 4.5l.6 9h5.8l.6-9',
  menu: 'M3 4.5h10M3 8h10M3 11.5h10',
  fit: 'M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10M8 6.5v3M6.5 8h3',
  chevron: 'M4 6l4 4 4-4',
  warning: 'M8 2.5 14 13.5H2zM8 6.5v3.5M8 11.6v.4',
  check: 'M3 8.5 6.5 12 13 4.5',
  aim: 'M8 1.5v4M8 10.5v4M1.5 8h4M10.5 8h4M8 4a4 4 0 1 0 .01 0',
};

/**
 * @param {keyof typeof ICONS} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

/**
 * A button with an icon, a text or both.
 *
 * @param {{icon?: keyof typeof ICONS, text?: string | Text, title: string, class?: string, run: (event: Event) => void}} of
 * @returns {HTMLButtonElement}
 */
export function button({ icon: name, text, title, class: more = '', run }) {
  return h(
    'button',
    { type: 'button', class: `cvd-button ${more}`, title, 'aria-label': title, onclick: run },
    name && icon(name),
    text && h('span', {}, text),
  );
}

/**
 * Takes the keyboard for a canvas. It is a text area because the host leaves keys and the clipboard alone in those: on
 * any other element its own undo would run beside ours and rebuild the whole graph.
 *
 * @param {string} label
 * @returns {HTMLTextAreaElement}
 */
export function keyboardSink(label) {
  return h('textarea', { class: 'cvd-keys', readOnly: true, inputMode: 'none', 'aria-label': label });
}

/**
 * Follow a pointer from its `pointerdown` until it is up or lost. The listeners are on the document, and only so long.
 *
 * @param {PointerEvent} down
 * @param {{move: (event: PointerEvent) => void, end?: (event: PointerEvent | null) => void, signal: AbortSignal}} to
 *   `end` gets null where the pointer was lost: cancelled, or `signal` aborted (the editor is gone)
 */
export function follow(down, { move, end, signal }) {
  const id = down.pointerId;
  const stop = new AbortController();
  const finish = (/** @type {PointerEvent | null} */ event) => {
    if (stop.signal.aborted) return;
    stop.abort();
    signal.removeEventListener('abort', lost);
    end?.(event);
  };
  const lost = () => finish(null);
  const options = { signal: stop.signal, capture: true };
  const mine = (/** @type {(event: PointerEvent) => void} */ run) => (/** @type {PointerEvent} */ event) => {
    if (event.pointerId === id) run(event);
  };
  document.addEventListener('pointermove', mine(move), options);
  document.addEventListener('pointerup', mine(finish), options);
  document.addEventListener('pointercancel', mine(lost), options);
  signal.addEventListener('abort', lost);
}

/**
 * Where an event is on `element`, in the element's own pixels, whatever transforms it is under.
 *
 * @param {{clientX: number, clientY: number}} event
 * @param {HTMLElement} element
 * @returns {[number, number]}
 */
export function placeOn(event, element) {
  const box = element.getBoundingClientRect();
  const scale = box.width ? element.offsetWidth / box.width : 1;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

/**
 * A number as a person writes it: at most `digits` decimals, no trailing zeros.
 *
 * @param {number} value
 * @param {number} [digits]
 */
export function written(value, digits = 3) {
  return String(Number(value.toFixed(digits)) + 0);
}
