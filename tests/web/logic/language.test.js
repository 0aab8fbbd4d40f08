/** The editor's words: translated in every language, and looked up by wordings that the editor still uses. */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const EDITOR = fileURLToPath(new URL('../../../web/js/editor/', import.meta.url));
const SCRIPTS = { zh: /[\u4e00-\u9fff]/, ja: /[\u3041-\u30ff\u4e00-\u9fff]/, ko: /[\uac00-\ud7a3]/ };
const SAME = ['JSON', 'mm', '°', '×', 'Ctrl+C', 'Ctrl+V', 'nerfstudio', 'RealEstate10K', 'around 360\\u00b0, standing'];

const sources = readdirSync(EDITOR, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.js'))
  .map((name) => readFileSync(EDITOR + name, 'utf8'));
const code = [...sources, readFileSync(`${EDITOR}../cvd_trajectory_editor.js`, 'utf8')].join('\n');

/** @type {Record<string, Record<string, string>>} */
const texts = Object.fromEntries(
  Object.keys(SCRIPTS).map((language) => [
    language,
    JSON.parse(readFileSync(`${EDITOR}texts/${language}.json`, 'utf8')),
  ]),
);

test.each(Object.entries(SCRIPTS))('%s is in its script', (language, script) => {
  expect(Object.entries(texts[language]).filter(([, text]) => !script.test(text))).toEqual([]);
});

test('every language has the same texts, and no other', () => {
  const [first, ...others] = Object.values(texts).map((of) => Object.keys(of).sort());
  for (const other of others) expect(other).toEqual(first);
  const quoted = (/** @type {string} */ text) => [`'${text.replaceAll("'", "\\'")}'`, `"${text}"`];
  expect(first.filter((text) => !quoted(text).some((literal) => code.includes(literal)))).toEqual([]);
});

test('fixed titles and labels are translated', () => {
  const found = [...code.matchAll(/\b(?:title|text|note|description|'aria-label'): ('[^'\n]*'|"[^"\n]*")/g)];
  const said = new Set(found.map(([, literal]) => literal.slice(1, -1)).filter((text) => /[A-Za-z]{2}/.test(text)));
  expect(said.size).toBeGreaterThan(60);
  expect([...said].filter((text) => !SAME.includes(text) && !(text in texts.ja))).toEqual([]);
});
