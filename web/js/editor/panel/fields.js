/**
 * Number fields and choices of the panel. A number's label can be dragged sideways to change it.
 */

import { follow, h, written } from '../dom.js';
import { t } from '../language.js';

/**
 * @typedef {{
 *   label: string, title: string, value: number | null, axis?: number, step?: number, digits?: number,
 *   min?: number, above?: number, max?: number, whole?: boolean, placeholder?: string, disabled?: boolean,
 *   signal: AbortSignal,
 *   change: (value: number | null, final: boolean) => void,
 * }} NumberOptions  `change` gets every value while the label is dragged, `final` with the last; null for an emptied
 *   field, where a `placeholder` says what holds then
 */

/**
 * @param {NumberOptions} options
 * @returns {HTMLElement}
 */
export function numberField(options) {
  const { label, title, axis, step = 0.01, digits = 3, min = -Infinity, above = -Infinity, max = Infinity } = options;
  let { value } = options;
  const input = h('input', {
    type: 'text',
    inputMode: 'decimal',
    spellcheck: false,
    autocomplete: 'off',
    title,
    'aria-label': title,
    disabled: options.disabled,
    placeholder: options.placeholder,
    value: value === null ? '' : written(value, digits),
  });
  const allowed = (/** @type {number} */ x) =>
    Number.isFinite(x) && x >= min && x > above && x <= max && (!options.whole || Number.isInteger(x));
  const show = () => {
    input.value = value === null ? '' : written(value, digits);
  };
  const read = () => {
    const text = input.value.trim().replace(',', '.');
    if (text === '' && options.placeholder !== undefined) return null;
    return text === '' ? NaN : Number(text);
  };
  input.addEventListener('input', () => {
    const typed = read();
    input.setAttribute('aria-invalid', String(!(typed === null || allowed(typed))));
  });
  input.addEventListener('change', () => {
    const typed = read();
    input.removeAttribute('aria-invalid');
    if (typed !== null && !allowed(typed)) return show();
    value = typed;
    options.change(value, true);
  });
  input.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'Enter') input.blur();
    if (event.key === 'Escape') {
      show();
      input.blur();
      event.preventDefault(); // would close the window
      event.stopPropagation();
    }
    if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return;
    event.preventDefault();
    const typed = read();
    const next = (typed ?? 0) + (event.key === 'ArrowUp' ? 1 : -1) * step * (event.shiftKey ? 10 : 1);
    if (!allowed(next)) return;
    value = next;
    show();
    options.change(value, true);
  });
  const name = h(
    'span',
    { class: axis === undefined ? '' : `cvd-axis${axis}`, title: t(title) + t(' (drag to change)') },
    label,
  );
  if (!options.disabled) {
    name.addEventListener('pointerdown', (/** @type {PointerEvent} */ event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      const start = value ?? 0;
      let moved = false;
      follow(event, {
        signal: options.signal,
        move: (at) => {
          const next = start + Math.round((at.clientX - event.clientX) / 2) * step * (at.shiftKey ? 10 : 1);
          if (!allowed(next) || next === value) return;
          value = next;
          moved = true;
          show();
          options.change(value, false);
        },
        end: () => moved && options.change(value, true),
      });
    });
  }
  return h('label', { class: 'cvd-field' }, name, input);
}

/**
 * @param {{label?: string, title: string, value: string, choices: (string | [string, string])[],
 *   change: (value: string) => void}} options  choices are values, or values with their texts
 * @returns {HTMLElement}
 */
export function choice({ label, title, value, choices, change }) {
  const select = h(
    'select',
    { title, 'aria-label': title, onchange: () => change(select.value) },
    ...choices.map((of) => {
      const [key, text] = Array.isArray(of) ? of : [of, of];
      return h('option', { value: key, selected: key === value }, text);
    }),
  );
  return label === undefined
    ? select
    : h('label', { class: 'cvd-field' }, h('span', { class: 'cvd-fixed' }, label), select);
}

/** A line of the panel with its title. */
export function row(/** @type {string} */ title, /** @type {any[]} */ ...children) {
  return h('div', { class: 'cvd-row' }, title && h('span', { class: 'cvd-title' }, title), ...children);
}
