/** The browser that the tests drive: `CHROMIUM_PATH`, or where Debian's package puts it. */

import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium';

/** Why there is no browser to be had; empty if there is. */
export const whyNoBrowser = existsSync(executablePath)
  ? ''
  : `no Chromium at ${executablePath}; install it (apt-get install chromium) or set CHROMIUM_PATH`;

export function launch() {
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
}

/** Where something that is shown is on the page. @param {import('playwright-core').Locator} locator */
export async function boxOf(locator) {
  const box = await locator.boundingBox();
  if (!box) throw new Error('it is not shown');
  return box;
}
