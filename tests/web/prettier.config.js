/** Check or rewrite: `npm run lint`, `npm run format`. */
export default { printWidth: 120, singleQuote: true };
