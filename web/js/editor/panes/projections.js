/** How each kind of pane looks at the world. */

import { FreeCamera, FrontView, PlanView, SideView } from '../../trajectory/projection.js';

/** @param {string} kind @returns {any} null for the panes that look through the cameras themselves */
export function makeProjection(kind) {
  if (kind === 'free') return new FreeCamera();
  if (kind === 'plan') return new PlanView();
  if (kind === 'side') return new SideView();
  if (kind === 'front') return new FrontView();
  return null;
}
