/** What the Python core makes of documents: written by `python -m tests.web.make_fixture`. */

import { readFileSync } from 'node:fs';

export const FIXTURE = JSON.parse(readFileSync(new URL('../fixtures/trajectories.json', import.meta.url), 'utf8'));
