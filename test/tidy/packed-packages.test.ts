/** What tests take packages from is theirs as long as they run. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { removeUnused } from "../../tools/packed-packages.ts";

test("packed packages that another run may still read stay, and go when no run of a day began with them", (t) => {
  const all = mkdtempSync(join(tmpdir(), "falconry-packed-"));
  t.after(() => rmSync(all, { recursive: true, force: true }));
  for (const [name, hours] of [
    ["of-now", 0],
    ["of-another-run", 20],
    ["of-last-week", 170],
    ["half-packed-and-left", 30],
  ] as const) {
    mkdirSync(join(all, name));
    const used = new Date(Date.now() - hours * 3_600_000);
    utimesSync(join(all, name), used, used);
  }
  removeUnused(all);
  assert.deepEqual(readdirSync(all).toSorted(), ["of-another-run", "of-now"]);
});
