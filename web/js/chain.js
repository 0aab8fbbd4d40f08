/**
 * Call `after` whenever the method that `owner` has under `name` was called, with the same arguments.
 *
 * @param {any} owner
 * @param {string} name
 * @param {(...given: any[]) => void} after
 */
export function chain(owner, name, after) {
  const before = owner[name];
  owner[name] = function called(/** @type {any[]} */ ...given) {
    const result = before?.apply(this, given);
    after(...given);
    return result;
  };
}
