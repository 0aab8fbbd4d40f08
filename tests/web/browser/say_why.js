import { whyNoBrowser } from '../chromium.js';

/** Says once why everything is skipped. */
export default function setup() {
  if (whyNoBrowser) console.warn(`Skipped: ${whyNoBrowser}`);
}
