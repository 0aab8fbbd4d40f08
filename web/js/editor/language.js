/**
 * The editor's words in the host's language: English where there is no other, or where a text has no translation.
 * Texts are looked up by their English wording where elements are made (`dom.js`), so that code reads as what it says.
 */

const LANGUAGES = ['zh', 'ja', 'ko'];

/** @type {Record<string, string>} */
let words = {};

/** Take the words of `language`, a setting of the host such as "en" or "ja". @param {unknown} language */
export async function useLanguage(language) {
  words = {};
  if (!LANGUAGES.includes(String(language))) return;
  const answer = await fetch(new URL(`./texts/${language}.json`, import.meta.url));
  if (answer.ok) words = await answer.json();
}

/** @param {string} text  in English @returns {string} */
export const t = (text) => (Object.hasOwn(words, text) ? words[text] : text);
