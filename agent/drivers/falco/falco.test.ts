/** The driver against a Falco that is a process of its own: the real one where FALCO_BIN names it, else the fake. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { TestContext } from "node:test";
import { falcoCommand, realFalco, startFalco } from "../../../test/support/falco/falco-process.ts";
import type { FalcoProcess } from "../../../test/support/falco/falco-process.ts";
import { facts } from "../../pipeline/testing/bundles.ts";
import { until } from "../../pipeline/testing/until.ts";
import type { DriverResult } from "../driver.ts";
import { readDriverSettings } from "../settings.ts";
import { falcoWorld } from "../keep-with-programs.ts";
import { Falco } from "./falco.ts";
import { rulesFileName } from "./settings.ts";

const good = (name: string): string => `- rule: ${name}
  desc: Something was started.
  condition: evt.type = execve
  output: started %proc.name
  priority: WARNING
`;
/** What every bundle here needs; the oldest Falco has it. */
let needed = ">=0.1.0";
const bad = good("Bad").replace("evt.type = execve", "evt.type = execve and no.such_field = 1");

/** A driver, and a way to hand it rules as if a bundle had rendered to them. */
function driverOf(t: TestContext, falco: FalcoProcess, more: Readonly<Record<string, string>> = {}) {
  const dir = mkdtempSync(join(tmpdir(), "falconry-driver-"));
  const problems: string[] = [];
  const { falco: settings } = readDriverSettings({ ...falco.env, ...more }, problems);
  assert.ok(settings && problems.length === 0, problems.join("; "));
  const said: string[] = [];
  const driver = new Falco(settings, falcoWorld(settings), {
    candidate: join(dir, "candidate.yaml"),
    render: async ({ source }) => ({
      ok: true,
      digest: source.digest,
      files: [{ name: "rules.yaml", content: source.path }],
      needs: { name: "starter", version: "1.0.0", requires: { engine: needed } },
    }),
    onProblem: (_code, message) => said.push(message),
    onLook: () => {},
  });
  t.after(() => {
    driver.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  /** A Falco that is loading what came before does not answer: that is tried again, as an agent does. */
  const apply = async (content: string, isKnown = false): Promise<DriverResult> => {
    const source = { path: content, digest: digestOf(content) };
    for (;;) {
      const result = await driver.apply({ source, facts, isKnown });
      if (reasonOf(result) !== "away falco/away" || !falco.isRunning()) return result;
      await pause(50);
    }
  };
  const onDisk = () => {
    const path = join(falco.rulesDir, rulesFileName);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  };
  return { driver, apply, onDisk, said };
}

const digestOf = (content: string) =>
  `sha256:${Buffer.from(content).toString("hex").slice(0, 64).padEnd(64, "0")}`;
const reasonOf = (result: DriverResult) => (result.ok === true ? "proved" : `${result.ok} ${result.reason}`);

let falco: FalcoProcess;
before(async (t) => {
  falco = await startFalco(t as TestContext);
});

test("rules are proved by the hash that Falco serves, and the next ones take their place", async (t) => {
  const { apply, onDisk, driver } = driverOf(t, falco);
  assert.equal(reasonOf(await apply(good("First"))), "proved");
  assert.equal(reasonOf(await apply(good("Second"))), "proved");
  assert.ok(onDisk().includes("rule: Second") && !onDisk().includes("rule: First"));
  assert.equal(driver.report().digest, digestOf(good("Second")));
});

test("what runs already is proved again without a reload", async (t) => {
  const { apply } = driverOf(t, falco);
  await apply(good("Same"));
  const reloads = falco.log().length;
  assert.equal(reasonOf(await driverOf(t, falco).apply(good("Same"), true)), "proved");
  assert.equal(falco.log().length, reloads);
});

test("rules that falco -V refuses never get where Falco reads, and its words are the reason", async (t) => {
  const bin = falcoCommand(mkdtempSync(join(tmpdir(), "falconry-v-")), falco.moodsFile);
  await driverOf(t, falco).apply(good("Before"));
  const { apply, onDisk } = driverOf(t, falco, { FALCONRY_FALCO_BIN: bin });
  const lines = falco.log().length;
  const refused = await apply(bad);
  assert.ok(refused.ok === false && refused.reason === "falco/invalid", JSON.stringify(refused));
  assert.match(refused.detail, /nonexistent field no\.such_field/);
  assert.ok(onDisk().includes("rule: Before"));
  assert.equal(falco.log().length, lines, "Falco saw nothing of it");
});

test("rules that Falco refuses at its reload are taken back, and the end of its log is told", async (t) => {
  const { apply, onDisk, said } = driverOf(t, falco);
  await apply(good("Kept"));
  const refused = await apply(bad);
  assert.ok(refused.ok === false && refused.reason === "falco/kept-old", JSON.stringify(refused));
  assert.match(refused.detail, /no\.such_field/);
  assert.match(said.join("\n"), /no\.such_field/);
  assert.ok(onDisk().includes("rule: Kept"));
});

test("rules that a Falco did not notice, because it was starting anew, are put in place once more", async (t) => {
  if (realFalco !== undefined) return t.skip("only the fake misses what it is told to miss");
  const { apply, onDisk } = driverOf(t, falco);
  assert.equal(reasonOf(await apply(good("Noticed"))), "proved");
  falco.moods("deaf");
  const applied = apply(good("Missed"));
  await until("they lie there", () => onDisk().includes("rule: Missed"));
  // Until the fake has had its notice of that, and passed it over.
  await pause(300);
  falco.moods();
  assert.equal(reasonOf(await applied), "proved");
});

test("a Falco that is away gets no rules that never ran, but those that did, and proves them when it is back", async (t) => {
  const { apply, onDisk, driver } = driverOf(t, falco);
  assert.equal(reasonOf(await apply(good("Ran"))), "proved");
  await falco.kill();
  assert.equal(reasonOf(await apply(good("New"))), "away falco/away");
  assert.ok(onDisk().includes("rule: Ran"));
  await until("its absence is a fault", () => driver.report().fault !== undefined);
  assert.equal(reasonOf(await apply(good("Ran before"), true)), "away falco/away");
  assert.ok(onDisk().includes("rule: Ran before"));
  await falco.start();
  assert.equal(reasonOf(await apply(good("Ran before"), true)), "proved");
  assert.equal(driver.report().fault, undefined);
  assert.equal(driver.report().falls, 1);
});

test("a file that somebody else changes is a fault, and is put right", async (t) => {
  const { apply, driver, onDisk } = driverOf(t, falco);
  await apply(good("Ours"));
  writeFileSync(join(falco.rulesDir, rulesFileName), good("Theirs"));
  await until("it is noticed", () => driver.report().fault?.includes("any more") === true);
  assert.equal(reasonOf(await apply(good("Ours"), true)), "proved");
  assert.ok(onDisk().includes("rule: Ours"));
});

test("rules files that are not the agent's are told", async (t) => {
  const { apply, driver } = driverOf(t, falco);
  const other = join(falco.rulesDir, "other.yaml");
  writeFileSync(other, good("Unsigned"));
  t.after(() => rmSync(other));
  await apply(good("Signed"));
  await until(
    "it is told",
    () => driver.report().notes.get("driver/other-rules")?.includes("other.yaml") === true,
  );
  const quiet = driverOf(t, falco, { FALCONRY_FALCO_OTHER_RULES: "allow" });
  await quiet.apply(good("Signed"), true);
  assert.equal(quiet.driver.report().notes.size, 0);
});

test("a bundle that needs a newer engine never gets where Falco reads, and what is older is told", async (t) => {
  const { apply, onDisk } = driverOf(t, falco);
  await apply(good("Fits"));
  needed = ">=0.999.0";
  t.after(() => (needed = ">=0.1.0"));
  const refused = await apply(good("Newer"));
  assert.ok(refused.ok === false && refused.reason === "falco/engine-too-old", JSON.stringify(refused));
  assert.match(
    refused.detail,
    /starter@1\.0\.0 requires engine >=0\.999\.0, and Falco \S+ has \d+\.\d+\.\d+: update Falco/,
  );
  assert.ok(onDisk().includes("rule: Fits"));
  assert.equal(
    reasonOf(await apply(good("Fits"), true)),
    "proved",
    "what it runs is never taken from it for that",
  );
});

// What only a fake does on demand.
if (realFalco === undefined) {
  test("a Falco that shows old hashes proves nothing, whatever it says of its reload", async (t) => {
    const { apply, onDisk } = driverOf(t, falco);
    await apply(good("Shown"));
    falco.moods("stale-metrics");
    t.after(() => falco.moods());
    const refused = await apply(good("Not shown"));
    assert.equal(reasonOf(refused), "false falco/kept-old");
    assert.ok(onDisk().includes("rule: Shown"));
  });

  test("a Falco that dies of new rules finds those of before when it starts again", async (t) => {
    const { apply, onDisk, driver } = driverOf(t, falco);
    await apply(good("Lived"));
    falco.moods("die-on-reload");
    assert.equal(reasonOf(await apply(good("Deadly"))), "false falco/died");
    falco.moods();
    assert.ok(!falco.isRunning() && onDisk().includes("rule: Lived"));
    await falco.start();
    await until("it is back", () => driver.report().fault === undefined);
    assert.equal(reasonOf(await apply(good("Lived"), true)), "proved");
  });

  test("a Falco that serves no hashes is told what to set, and one that only listens to SIGHUP gets it", async (t) => {
    falco.moods("mute");
    const away = await driverOf(t, falco).apply(good("Any"));
    falco.moods();
    assert.ok(away.ok === "away" && /prometheus_metrics_enabled/.test(away.detail), JSON.stringify(away));
    const deaf = await startFalco(t, { watches: false });
    assert.equal(reasonOf(await driverOf(t, deaf).apply(good("Any"))), "proved");
  });
}
