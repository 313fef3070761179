import type { Secret } from "../http-config.ts";
import type { Options } from "../options.ts";

/**
 * A secret under its own name, or the path of a file that holds it under `NAME_file`. Fluent Bit knows the first only; the
 * second is ours, so that a secret can be replaced on the node without a new config.
 */
export function readSecret(options: Options, key: string): Secret | undefined {
  const written = options.entry(key);
  const file = options.entry(`${key}_file`);
  if (written !== undefined && file !== undefined) {
    options.refuse(file, `"${key}" and "${key}_file" are both there: keep one`);
  }
  if (file !== undefined) {
    const path = options.text(`${key}_file`, "");
    if (!path.startsWith("/")) {
      options.refuse(file, `"${key}_file" is "${path}" and has to be absolute: begin it with /`);
    }
    return { kind: "file", path };
  }
  if (written === undefined) return undefined;
  if (!written.value.includes("${")) {
    options.warn(
      written,
      `"${key}" stands in the bundle, where everybody can read it: use a \${VARIABLE} or "${key}_file"`,
    );
  }
  const text = options.text(key, "");
  if (/\p{Cc}/u.test(text)) {
    options.refuse(written, `"${key}" holds a control character, which no header can carry`);
  }
  return { kind: "text", text };
}
