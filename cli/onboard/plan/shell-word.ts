/** A name as a shell takes it for one word: contexts of a kubeconfig may be called anything. */
export function shellWord(name: string): string {
  return /^[\w@:./-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}
