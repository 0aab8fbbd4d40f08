/**
 * A text that is edited as a document: what it says, why it cannot be read, and the way back. It may be broken while it
 * is typed; then the last document that could be read stays.
 *
 * @import {Document} from '../../trajectory/document.js'
 */

import { parse, stringify } from '../../trajectory/document.js';
import { History } from '../../trajectory/history.js';
import { messageOf } from '../../trajectory/messages.js';

export class EditedText {
  /** Document before the gesture that is going on. @type {Document | null} */
  #before = null;
  #changed;
  /** @type {Document | null} */
  document = null;
  /** Why the text cannot be read; empty if it can. */
  error = '';

  /**
   * @param {string} text
   * @param {() => void} changed  the document, or whether there is one
   */
  constructor(text, changed) {
    this.text = text;
    this.history = new History(text);
    this.#changed = changed;
    this.#read();
  }

  /** Another text with a history of its own. @param {string} text */
  open(text) {
    this.#before = null;
    this.history = new History(text);
    this.type(text);
  }

  /** The text as it is being typed. @param {string} text */
  type(text) {
    this.text = text;
    this.#read();
  }

  /** What was typed is one step of undo. */
  endTyping() {
    this.history.push(this.text);
  }

  /** Another document: part of the gesture that is going on, or to be committed. @param {Document | null} document */
  put(document) {
    this.document = document;
    this.#changed();
  }

  /** The document becomes the text, and one step of undo. */
  commit() {
    if (!this.document) return;
    this.error = '';
    this.text = stringify(this.document);
    this.history.push(this.text);
  }

  get inGesture() {
    return this.#before !== null;
  }

  /** What is put from now on is one step of undo. */
  beginGesture() {
    this.#before ??= this.document;
  }

  /**
   * @param {boolean} lost  take it back
   * @returns {boolean} whether there is something to commit
   */
  endGesture(lost) {
    const before = this.#before;
    this.#before = null;
    if (before === null || before === this.document) return false;
    if (lost) this.put(before);
    return !lost;
  }

  /** Forget the gesture that is going on; what it did stays. */
  leaveGesture() {
    this.#before = null;
  }

  #read() {
    try {
      this.document = parse(this.text);
      this.error = '';
    } catch (error) {
      this.error = messageOf(error);
    }
    this.#changed();
  }
}
