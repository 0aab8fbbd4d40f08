/**
 * A pop-up menu inside the editor: closed by a choice, a press elsewhere or Escape; arrow keys move in it.
 */

import { h } from './dom.js';

/**
 * @typedef {{text: string, note?: string, description?: string, color?: string, disabled?: boolean,
 *   run: () => void}} Item
 * @typedef {Item | '-' | {title: string}} Entry
 */

export class Menu {
  /** @type {HTMLElement | null} */
  #open = null;
  /** @type {HTMLElement | null} */
  #owner = null;
  /** Of the listener that closes an open menu. */
  #closing = new AbortController();
  #host;
  #signal;

  /**
   * @param {HTMLElement} host  the editor, which menus are kept within
   * @param {AbortSignal} signal
   */
  constructor(host, signal) {
    this.#host = host;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.close());
  }

  /**
   * @param {HTMLElement} owner  the button it belongs to; pressing it again closes the menu
   * @param {Entry[]} entries
   */
  show(owner, entries) {
    const again = this.#owner === owner;
    this.close();
    if (again || this.#signal.aborted) return;
    const menu = h(
      'div',
      { class: 'cvd-menu', role: 'menu', onkeydown: (/** @type {KeyboardEvent} */ e) => this.#key(e) },
      ...entries.map((entry) => {
        if (entry === '-') return h('hr');
        if ('title' in entry) return h('h4', {}, entry.title);
        return h(
          'button',
          {
            type: 'button',
            role: 'menuitem',
            disabled: entry.disabled,
            class: `cvd-button ${entry.description ? 'cvd-described' : ''}`,
            onclick: () => {
              this.close();
              entry.run();
            },
          },
          h('span', {}, entry.text),
          (entry.description ?? entry.note) && h('small', {}, entry.description ?? entry.note),
        );
      }),
    );
    this.#host.append(menu);
    const host = this.#host.getBoundingClientRect();
    const at = owner.getBoundingClientRect();
    const scale = host.width ? this.#host.offsetWidth / host.width : 1;
    const left = (at.left - host.left) * scale;
    const below = (at.bottom - host.top) * scale + 3;
    menu.style.left = `${Math.max(4, Math.min(left, this.#host.offsetWidth - menu.offsetWidth - 6))}px`;
    menu.style.top = `${Math.max(4, Math.min(below, this.#host.offsetHeight - menu.offsetHeight - 6))}px`;
    this.#open = menu;
    this.#owner = owner;
    this.#closing = new AbortController();
    document.addEventListener(
      'pointerdown',
      (event) => {
        const target = /** @type {Node} */ (event.target);
        if (!menu.contains(target) && !owner.contains(target)) this.close();
      },
      { capture: true, signal: this.#closing.signal },
    );
    /** @type {HTMLElement | null} */ (menu.querySelector('button:not(:disabled)'))?.focus({ preventScroll: true });
  }

  close() {
    if (!this.#open) return;
    this.#closing.abort();
    const focused = this.#open.contains(document.activeElement);
    this.#open.remove();
    if (focused) this.#owner?.focus({ preventScroll: true });
    this.#open = this.#owner = null;
  }

  #key(/** @type {KeyboardEvent} */ event) {
    const items = /** @type {HTMLElement[]} */ ([...(this.#open?.querySelectorAll('button:not(:disabled)') ?? [])]);
    const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (event.key === 'Escape') this.close();
    else if (event.key === 'ArrowDown') items[(at + 1) % items.length]?.focus();
    else if (event.key === 'ArrowUp') items[(at - 1 + items.length) % items.length]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
