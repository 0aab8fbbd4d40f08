/**
 * The picture that a node linked to an `image` input shows: what it made last, or the file it loads.
 */

/** @param {Record<string, string>} query */
function address(/** @type {any} */ app, query) {
  return app.api.apiURL(`/view?${new URLSearchParams(query)}`);
}

/** The file a loader's widget names, as `folder/name.png [kind]`. */
function named(/** @type {string} */ value) {
  const match = /^(?:(.*)\/)?([^/]+?)(?: \[(input|output|temp)\])?$/.exec(value);
  return match && { filename: match[2], subfolder: match[1] ?? '', type: match[3] ?? 'input' };
}

/** @type {WeakMap<object, {url: string, image: HTMLImageElement}>} */
const loaded = new WeakMap();

/**
 * @param {any} app
 * @param {any} node
 * @returns {Promise<HTMLImageElement | null | undefined>} null where nothing is linked any more, undefined where nothing
 *   new is to be seen
 */
export async function findPicture(app, node) {
  if (!node.graph) return undefined; // not in a graph yet, or no more: there are no links to follow
  const slot = node.inputs?.findIndex((/** @type {any} */ input) => input.name === 'image') ?? -1;
  const source = slot < 0 ? null : node.getInputNode?.(slot);
  if (!source) {
    const had = loaded.delete(node);
    return had ? null : undefined;
  }
  const shown = source.imgs?.[0]?.src;
  const made = app.nodeOutputs?.[source.id]?.images?.[0];
  const file = source.widgets?.find((/** @type {any} */ widget) => widget.name === 'image')?.value;
  const of = made ?? (typeof file === 'string' ? named(file) : null);
  const url =
    shown ?? (of && address(app, { filename: of.filename, subfolder: of.subfolder ?? '', type: of.type ?? 'input' }));
  if (!url || loaded.get(node)?.url === url) return undefined;
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    return undefined; // a file that is gone; the reference scene stays
  }
  loaded.set(node, { url, image });
  return image;
}
