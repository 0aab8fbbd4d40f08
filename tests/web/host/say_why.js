import { whyNoBrowser } from '../chromium.js';
import { whyNoHost } from './comfy.js';

/** Says once why everything is skipped. */
export default function setup() {
  const why = whyNoBrowser || whyNoHost();
  if (why) console.warn(`Skipped: ${why}`);
}
