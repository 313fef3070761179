import { misused } from "./failure.ts";
import { asList } from "./flags.ts";
import { readFileBounded } from "./load-bundle.ts";

const secretBytesMax = 8_192;

/** `KEY=VALUE` texts as pairs. A value may hold anything, commas and equals signs too. */
export function pairsFrom(values: readonly string[] | undefined, flag: string): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (const value of asList(values)) {
    const [, key, content] = /^([a-z0-9_-]{1,40})=(.*)$/s.exec(value) ?? [];
    if (key === undefined || content === undefined) {
      throw misused(`--${flag} "${value.slice(0, 40)}" is not KEY=VALUE`, `--${flag} url=...`);
    }
    if (Object.hasOwn(pairs, key)) throw misused(`--${flag} gives "${key}" twice`);
    pairs[key] = content;
  }
  return pairs;
}

/** The secrets that files hold, by name, without the line's end that editors add. `-` is standard input, once. */
export async function secretsFrom(
  values: readonly string[] | undefined,
  readInput: (bytesMax: number) => Promise<Uint8Array | undefined>,
): Promise<Record<string, string>> {
  const files = Object.entries(pairsFrom(values, "secret-file"));
  if (files.filter(([, file]) => file === "-").length > 1) {
    throw misused("--secret-file takes only one secret from standard input");
  }
  const secrets: Record<string, string> = {};
  for (const [name, file] of files) {
    const bytes =
      file === "-" ? await readInput(secretBytesMax) : await readFileBounded(file, secretBytesMax);
    if (bytes === undefined) throw misused(`The secret "${name}" is longer than ${secretBytesMax} bytes`);
    const text = Buffer.from(bytes)
      .toString("utf8")
      .replace(/\r?\n$/, "");
    if (text === "") throw misused(`The secret "${name}" is empty`);
    secrets[name] = text;
  }
  return secrets;
}
