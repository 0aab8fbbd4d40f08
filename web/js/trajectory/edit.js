/** All edits of a document, in one place. */

export * from './edit_keyframes.js';
export * from './edit_many.js';
export * from './edit_paths.js';
export * from './edit_views.js';
