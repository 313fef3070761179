import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readText, root } from "./files.ts";

/** Licences under which a part may be shipped with work under Apache-2.0. */
const compatible = new Set([
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "BlueOak-1.0.0",
  "CC0-1.0",
  "ISC",
  "MIT",
  "MIT-0",
  "PSF-2.0",
  "PostgreSQL",
  "Python-2.0",
  "Unlicense",
]);

interface Locked {
  readonly dev?: boolean;
  readonly license?: string;
}

/** One of the offered licences has to fit, and of joined ones all. */
function fits(expression: string): boolean {
  const plain = expression.replace(/[()]/g, "");
  return plain
    .split(/ OR /i)
    .some((choice) => choice.split(/ AND /i).every((name) => compatible.has(name.trim())));
}

function licenceOf(path: string, locked: Locked): string {
  const file = join(path, "package.json");
  if (locked.license !== undefined || !existsSync(join(root, file))) return locked.license ?? "unknown";
  const { license } = JSON.parse(readText(file)) as { license?: unknown };
  return typeof license === "string" ? license : "unknown";
}

test("everything that we ship may be shipped under Apache-2.0", () => {
  const { packages } = JSON.parse(readText("package-lock.json")) as { packages: Record<string, Locked> };
  const shipped = Object.entries(packages).filter(([path, locked]) => path !== "" && locked.dev !== true);
  assert.ok(shipped.length > 0, "the rule must not pass because it saw nothing");
  const doubtful = shipped
    .map(([path, locked]) => ({ path, licence: licenceOf(path, locked) }))
    .filter(({ licence }) => !fits(licence))
    .map(({ path, licence }) => `${path}: ${licence}`);
  assert.deepEqual(doubtful, []);
});
