import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..", "..");
const page = readFileSync(join(root, "docs", "security.md"), "utf8");

/** The rows of the table of tests; a name may go on, or begin, with what a case is. */
const rows = [...page.matchAll(/^\| (T\d+) \| `([^`]+\.test\.ts)` \| (.+) \|$/gm)].map(
  ([, threat = "", file = "", name = ""]) => ({ threat, file, name: name.replaceAll(/^… | …$/g, "") }),
);

test("every test that docs/security.md names for a threat is there", () => {
  assert.ok(rows.length > 50, "the table was not found");
  const missing = rows.filter(({ file, name }) => {
    const path = join(root, file);
    return !existsSync(path) || !namesOf(readFileSync(path, "utf8")).some((one) => one.includes(name));
  });
  assert.deepEqual(missing, []);
});

test("every threat from T1 to T15 has a promise and at least two tests by name", () => {
  for (let i = 1; i <= 15; i += 1) {
    assert.match(page, new RegExp(`^\\| T${i} \\| [^\`|]+ \\| [^|]+ \\| .+ \\|$`, "m"));
    const count = rows.filter(({ threat }) => threat === `T${i}`).length;
    assert.ok(count >= 2, `T${i} has ${count}`);
  }
});

/** What stands where a test is given its name: a text, or a template with a case in it. */
function namesOf(source: string): readonly string[] {
  return [...source.matchAll(/\btest\(\s*(?:"((?:[^"\\]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g)].map(
    ([, text, template]) => text ?? template ?? "",
  );
}
