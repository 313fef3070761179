import { readFileSync } from "node:fs";

/** The audit policy that is ours. A bundle carries the text: tools/bundle reads the file in place of this call. */
export function ourPolicy(): string {
  return readFileSync(new URL("../../deploy/audit/policy.yaml", import.meta.url), "utf8");
}
