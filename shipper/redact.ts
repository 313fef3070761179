const secretWords = /passw|secret|token|credential|private_?key|api_?key|authorization|cookie|bearer/i;
/** Options that are secrets though their names do not say so, each with its plugin. */
const secretOptions: ReadonlySet<string> = new Set(["mask key", "forward shared_key"]);
const onlyVariables = /^(?:\$\{[A-Za-z_][A-Za-z0-9_]*\}\s*)+$/;
const hidden = "[redacted]";

/**
 * A value that may be shown: `fill` fills variables in, except in secrets and except variables that are called like one. What
 * is a secret by its key, by the name of a header, or as the password of an address is replaced.
 */
export function redacted(plugin: string, key: string, value: string, fill: (text: string) => string): string {
  if (secretWords.test(key) || secretOptions.has(`${plugin} ${key}`)) {
    return onlyVariables.test(value) ? value : hidden;
  }
  const shown = value.replaceAll(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (whole, name: string) =>
    secretWords.test(name) || /(?:^|_)KEY$|PASS$/i.test(name) ? whole : fill(whole),
  );
  if (key === "header") {
    const [, name = "", rest = ""] = /^(\S+)\s+(.*)$/s.exec(shown) ?? [];
    if (secretWords.test(name) && !onlyVariables.test(rest)) return `${name} ${hidden}`;
  }
  return shown.replaceAll(/(\/\/[^/\s:@]*):[^/\s@]+@/g, `$1:${hidden}@`);
}

/** Whether a line of a config may hold a secret, so that it is better not shown. */
export function mayHoldSecret(line: string): boolean {
  return secretWords.test(line) || /^\s*key\b/i.test(line) || /:[^/\s@]+@/.test(line);
}
