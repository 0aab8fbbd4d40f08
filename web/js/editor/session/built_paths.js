/**
 * What a document builds with the settings of the node, and what is wrong with that.
 *
 * @import {Check} from '../../trajectory/checks.js'
 * @import {Document} from '../../trajectory/document.js'
 * @import {Built, Settings} from '../../trajectory/paths.js'
 */

import { check } from '../../trajectory/checks.js';
import { messageOf } from '../../trajectory/messages.js';
import { build } from '../../trajectory/paths.js';

/** Milliseconds that checks may take while something is dragged. */
const SLOW_CHECK = 5;

/** @type {Built} */
const NOTHING = { views: [], frames: 0, width: 0, height: 0 };

export class BuiltPaths {
  /** Milliseconds that the last checks took. */
  #checkTime = 0;
  paths = NOTHING;
  /** @type {Check[]} */
  checks = [];
  /** Why the document cannot be built; then the paths are those of the last one that could. */
  error = '';

  /**
   * @param {Document} document
   * @param {Settings} settings
   * @param {boolean} dragging  slow checks wait for the end of a drag
   * @returns {boolean} whether it could be built
   */
  update(document, settings, dragging) {
    try {
      this.paths = build(document, { ...settings, views: document.rig ? settings.views : 0 });
      this.error = '';
    } catch (error) {
      this.error = messageOf(error);
      return false;
    }
    if (dragging && this.#checkTime > SLOW_CHECK) return true;
    const start = performance.now();
    this.checks = [...countCheck(document, settings), ...check(this.paths)];
    this.#checkTime = performance.now() - start;
    return true;
  }
}

/** Whether the node agrees on the number of views. @param {Document} document @param {Settings} settings @returns {Check[]} */
function countCheck({ views }, { views: wanted }) {
  if (!views || wanted === 0 || wanted === views.length) return [];
  const message = `The node says ${wanted} views, the trajectory lists ${views.length}; it will not run so.`;
  return [{ kind: 'count', severity: 'error', views: [], frames: [], message }];
}
