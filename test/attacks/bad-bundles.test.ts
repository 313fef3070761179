/** A hundred bundles that should never run: who notices each, and that what ran goes on. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { badBundles } from "./bad-bundles.ts";
import type { Verdict } from "./bad-bundle-process.ts";

const deadlineMs = 120_000;
const heapMiB = 256;

test(
  "each bad bundle is refused where it has to be, in bounded time and memory, and what ran runs",
  { timeout: 150_000 },
  async (t) => {
    assert.ok(badBundles.length >= 100, `${badBundles.length} bundles`);
    const dir = realpathSync(mkdtempSync(join(tmpdir(), "falconry-bad-")));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const main = join(import.meta.dirname, "bad-bundle-process.ts");
    const child = spawn(process.execPath, [`--max-old-space-size=${heapMiB}`, main, dir], {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: deadlineMs,
      killSignal: "SIGKILL",
    });
    const verdicts: Verdict[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      verdicts.push(JSON.parse(line) as Verdict);
    }
    for (const [index, bad] of badBundles.entries()) {
      await t.test(`${bad.agent ?? "only a gate"}: ${bad.kind}, ${bad.name}`, () => {
        const verdict = verdicts[index];
        assert.ok(verdict !== undefined, `the process ended at the bundle before this one or at it`);
        assert.deepEqual([verdict.agent, verdict.before], [bad.agent, bad.before]);
        assert.ok(verdict.isUnharmed, "something else runs");
      });
    }
    const count = (who: (verdict: Verdict) => boolean) => verdicts.filter(who).length;
    for (const layer of ["build", "sign", "push", "guard"]) {
      t.diagnostic(`${layer}: ${count(({ before }) => before.includes(layer))} of ${verdicts.length}`);
    }
    t.diagnostic(`agent: ${count(({ agent }) => agent !== undefined)} of ${verdicts.length}`);
  },
);
