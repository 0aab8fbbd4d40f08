/**
 * Writes web/js/trajectory/schema.js, the schema as a module that a page can import, from web/trajectory.schema.json:
 * `npm run schema`. A test says when it is stale.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import layout from './prettier.config.js';

const WEB = new URL('../../web/', import.meta.url);
export const SCHEMA_MODULE = fileURLToPath(new URL('js/trajectory/schema.js', WEB));

/** The module's text. @returns {Promise<string>} */
export function schemaModule() {
  const schema = readFileSync(new URL('trajectory.schema.json', WEB), 'utf8');
  const text = `/**
 * What a trajectory document may hold. Made of ../../trajectory.schema.json by \`npm --prefix tests/web run schema\`; do
 * not edit it.
 *
 * @type {import('./schema_check.js').Schema}
 */
export const SCHEMA = ${schema}`;
  return format(text, { ...layout, parser: 'babel' });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(SCHEMA_MODULE, await schemaModule());
