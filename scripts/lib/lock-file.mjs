/**
 * Whether node_modules already holds what the lock file asks for, by npm's own record of what it installed: somebody
 * who ran `npm install` by hand need not wait again.
 * @param {string} lock text of package-lock.json
 * @param {string | undefined} record text of node_modules/.package-lock.json, undefined when there is none
 * @param {(path: string) => boolean} isThere whether a folder of the record exists
 */
export function isInstalled(lock, record, isThere) {
  if (record === undefined) return false;
  /** @type {Record<string, { version?: string, optional?: boolean }>} */
  const wanted = JSON.parse(lock).packages;
  /** @type {Record<string, { version?: string }>} */
  const installed = JSON.parse(record).packages;
  const complete = Object.entries(wanted).every(
    ([path, entry]) =>
      path === '' ||
      installed[path]?.version === entry.version ||
      // Optional packages are those of other platforms, or of this one and there.
      (entry.optional === true && installed[path] === undefined),
  );
  return complete && Object.keys(installed).every((path) => wanted[path] !== undefined && isThere(path));
}
