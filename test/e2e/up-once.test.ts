import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { freePorts } from "../support/local-fleet.ts";

const main = join(import.meta.dirname, "..", "..", "cli", "main.ts");

interface Report {
  readonly steps: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly seconds: number;
    readonly detail: string;
  }[];
  readonly clusters: readonly { readonly name: string; readonly region: string; readonly rules: string }[];
  readonly alerts: { readonly planted: number; readonly seen: number };
}

async function upOnce(
  root: string,
  port: number,
): Promise<{ code: number | null; report: Report; talk: string }> {
  const child = spawn(
    process.execPath,
    [main, "up", "--once", "-o", "json", "--state", join(root, "state"), "--port", String(port)],
    {
      env: { ...process.env, FLEETCTL_CONFIG: join(root, "contexts.json") },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const [out, talk, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  return { code, report: JSON.parse(out) as Report, talk };
}

test(
  "up --once proves every step, changes exactly the eu clusters, and goes on from its state the second time",
  { timeout: 300_000 },
  async (t) => {
    const root = mkdtempSync(join(tmpdir(), "falconry-up-"));
    t.after(() => rmSync(root, { recursive: true, force: true }));
    const port = await freePorts();

    const first = await upOnce(root, port);
    assert.equal(first.code, 0, first.talk);
    assert.deepEqual(
      first.report.steps.filter((s) => !s.ok),
      [],
    );
    assert.ok(first.report.alerts.planted > 0);
    assert.equal(first.report.alerts.seen, first.report.alerts.planted);
    const digests = (region: string) =>
      new Set(first.report.clusters.filter((c) => c.region === region).map((c) => c.rules));
    assert.equal(digests("eu").size, 1);
    assert.deepEqual(digests("us"), digests("tr"));
    assert.notDeepEqual(digests("eu"), digests("us"));

    const second = await upOnce(root, port);
    assert.equal(second.code, 0, second.talk);
    const enrolled = second.report.steps.find((s) => s.name === "agents enrolled");
    assert.match(enrolled?.detail ?? "", /0 enrolled now/);
  },
);
