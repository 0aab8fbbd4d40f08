/**
 * The way back: texts of the document, one per step. What belongs to one gesture is pushed once, at its end.
 */

/** Steps that are kept. */
const MOST = 200;

export class History {
  /** @type {string[]} */
  #texts;
  #at = 0;

  /** @param {string} text */
  constructor(text) {
    this.#texts = [text];
  }

  get text() {
    return this.#texts[this.#at];
  }

  get canUndo() {
    return this.#at > 0;
  }

  get canRedo() {
    return this.#at < this.#texts.length - 1;
  }

  /**
   * A new step, which ends what could be redone; a text that is already the present one is no step.
   *
   * @param {string} text
   */
  push(text) {
    if (text === this.text) return;
    this.#texts = [...this.#texts.slice(0, this.#at + 1), text].slice(-MOST);
    this.#at = this.#texts.length - 1;
  }

  /** @returns {string} the text of the step before; the first one stays */
  undo() {
    if (this.canUndo) this.#at--;
    return this.text;
  }

  /** @returns {string} */
  redo() {
    if (this.canRedo) this.#at++;
    return this.text;
  }
}
