/** The driver against a Fluent Bit that is a process of its own: the real one where FLUENT_BIT_BIN names it, else the fake. */
import assert from "node:assert/strict";
import { appendFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { TestContext } from "node:test";
import { placeFluentBit, realFluentBit } from "../../../test/support/fluent-bit/fluent-bit-process.ts";
import type { FluentBitProcess } from "../../../test/support/fluent-bit/fluent-bit-process.ts";
import type { RenderResult } from "../../pipeline/pipeline.ts";
import { BundleRenderer } from "../../pipeline/render-bundle.ts";
import { facts, writeBundle } from "../../pipeline/testing/bundles.ts";
import { until } from "../../pipeline/testing/until.ts";
import type { DriverResult } from "../driver.ts";
import { fluentBitWorld } from "../keep-with-programs.ts";
import { readDriverSettings } from "../settings.ts";
import { FluentBit } from "./fluent-bit.ts";

let program: FluentBitProcess;
/** Where records go. */
const got: string[] = [];
let isRefusing = false;
const sink = createServer((request, response) => {
  request.on("data", (chunk: Buffer) => isRefusing || got.push(chunk.toString()));
  request.on("end", () => response.writeHead(isRefusing ? 503 : 200).end());
});

const falco = {
  FALCONRY_RULES_DRIVER: "falco",
  FALCONRY_FALCO_RULES_DIR: "/r",
  FALCONRY_FALCO_ALERTS_LISTEN: "127.0.0.1:1",
};

/** A driver, and ways to hand it a bundle, or a text as if a bundle had rendered to it. */
function driverOf(t: TestContext, more: Readonly<Record<string, string>> = {}) {
  const problems: string[] = [];
  const { fluentBit: settings } = readDriverSettings({ ...falco, ...program.env, ...more }, problems);
  assert.ok(settings && problems.length === 0, problems.join("; "));
  const { port } = sink.address() as AddressInfo;
  const allowList = {
    destinations: [{ host: "127.0.0.1", port, tls: "optional" as const }],
    fileDirectories: [],
    tailDirectories: [program.dir],
  };
  const renderer = new BundleRenderer({ allowList });
  let changed = (result: RenderResult): RenderResult => result;
  const driver = new FluentBit(settings, fluentBitWorld(settings), {
    candidate: join(program.dir, "candidate.conf"),
    render: async (request, of) => changed(renderer.render(request, of)),
    records: undefined,
    onProblem: () => {},
    onLook: () => {},
  });
  t.after(() => driver.stop());
  const log = join(program.dir, "audit.log");
  const config = (more = "") => `[INPUT]
  Name tail
  Alias audit
  Tag audit
  Path ${log}
  Parser json
  Refresh_Interval 1
[OUTPUT]
  Name http
  Alias store
  Match audit
  Host 127.0.0.1
  Port ${port}
  Format json
${more}`;
  /** A Fluent Bit that is loading what came before does not answer: that is tried again, as an agent does. */
  const apply = async (content: string, isKnown = false): Promise<DriverResult> => {
    const source = writeBundle(program.dir, "shipper", content);
    for (;;) {
      const result = await driver.apply({ source, facts, isKnown });
      if (reasonOf(result) !== "away fluent-bit/away" || !program.isRunning()) return result;
      await pause(50);
    }
  };
  /** As if something had been let through that Fluent Bit does not know. */
  const spoil = () => {
    changed = (result) => {
      const files = result.ok
        ? result.files.map((file) => ({ ...file, content: `${file.content}    no_such_option 1\n` }))
        : [];
      return result.ok ? { ...result, files } : result;
    };
  };
  return { driver, apply, config, log, spoil };
}

const reasonOf = (result: DriverResult) => (result.ok === true ? "proved" : `${result.ok} ${result.reason}`);

before(async (t) => {
  await new Promise<void>((resolve) => sink.listen(0, "127.0.0.1", resolve));
  program = await placeFluentBit(t as TestContext);
  (t as TestContext).after(() => {
    sink.close();
    sink.closeAllConnections();
  });
  // The agent writes what Fluent Bit is started with.
  driverOf(t as TestContext);
  await program.start();
});

test("a config is proved by what Fluent Bit shows of it, records flow, and its counters become the agent's", async (t) => {
  const { driver, apply, config, log } = driverOf(t);
  writeFileSync(log, '{"auditID":"one"}\n{"auditID":"two"}\n');
  assert.equal(reasonOf(await apply(config())), "proved");
  await until("records arrive", () => got.join("").includes("two"));
  await until("they are counted", () => driver.report().counters.events === 2);
  await until("and delivered", () =>
    driver.report().outputs.some((o) => o.alias === "store" && o.delivered === 2),
  );
  assert.equal(driver.report().outputs.length, 1, "the agent's own output is nobody's business");
  // Fluent Bit counts anew after a reload; the agent does not.
  assert.equal(reasonOf(await apply(config("[SERVICE]\n  Flush 2\n"))), "proved");
  appendFileSync(log, '{"auditID":"three"}\n');
  await until("counters go on", () => driver.report().counters.events >= 3);
});

test("an output that only fails is told, with how long it has", async (t) => {
  const { driver, apply, config, log } = driverOf(t);
  isRefusing = true;
  t.after(() => (isRefusing = false));
  await apply(config());
  appendFileSync(log, '{"auditID":"late"}\n');
  await until("its failure shows", () => driver.report().outputs[0]?.lastError?.includes("errors") === true);
  await until("time passes", () => driver.report().counters.lagMs > 0);
  isRefusing = false;
  await until("it recovers", () => driver.report().outputs[0]?.lastError === undefined);
});

test("what --dry-run refuses never gets where Fluent Bit reads, and its words are the reason", async (t) => {
  await driverOf(t).apply(driverOf(t).config());
  const { apply, config, spoil } = driverOf(t, { FALCONRY_FLUENT_BIT_BIN: join(program.dir, "bin") });
  const text = program.config();
  spoil();
  const refused = await apply(config());
  assert.ok(refused.ok === false && refused.reason === "fluent-bit/invalid", JSON.stringify(refused));
  assert.match(refused.detail, /no_such_option/);
  assert.equal(program.config(), text);
});

test("a reload that was answered with 200 and kept the old config is no proof, and the old file lies there again", async (t) => {
  const { apply, config, spoil } = driverOf(t);
  assert.equal(reasonOf(await apply(config())), "proved");
  const text = program.config();
  spoil();
  const refused = await apply(config());
  assert.ok(refused.ok === false && refused.reason === "fluent-bit/kept-old", JSON.stringify(refused));
  assert.match(refused.detail, /no_such_option/, "the end of its log");
  assert.equal(program.config(), text);
});

test("what Fluent Bit lacks is refused before anything is written", async (t) => {
  const { apply, config } = driverOf(t);
  const text = program.config();
  const refused = await apply(config("[FILTER]\n  Name mask\n  Match *\n  Field user.username\n"));
  assert.ok(refused.ok === false && refused.reason === "shipper/not-in-fluent-bit", JSON.stringify(refused));
  const denied = await apply(config().replace(/Host .*/, "Host elsewhere.example.com"));
  assert.equal(reasonOf(denied), "false shipper/not-allowed");
  assert.equal(program.config(), text);
});

test("a Fluent Bit that is away gets no config that never ran, but one that did, and proves it when it is back", async (t) => {
  const { apply, config, driver } = driverOf(t);
  assert.equal(reasonOf(await apply(config())), "proved");
  await program.kill();
  const text = program.config();
  assert.equal(reasonOf(await apply(config("[SERVICE]\n  Flush 3\n"))), "away fluent-bit/away");
  assert.equal(program.config(), text);
  await until("its absence is a fault", () => driver.report().fault !== undefined);
  assert.equal(reasonOf(await apply(config("[SERVICE]\n  Flush 4\n"), true)), "away fluent-bit/away");
  assert.match(program.config(), /flush 4/);
  await program.start();
  await until("what it was started with shows", () => driver.report().fault?.includes("any more") === true);
  const other = driverOf(t);
  assert.equal(reasonOf(await other.apply(config("[SERVICE]\n  Flush 4\n"), true)), "proved");
});

// What only a fake does on demand.
if (realFluentBit === undefined) {
  for (const [mood, reason] of [
    ["keep-old", "kept-old"],
    ["stale-metrics", "kept-old"],
    ["die-on-reload", "died"],
    ["hang", "kept-old"],
  ] as const) {
    test(`"${mood}" is ${reason}, and what ran before is what it finds next`, async (t) => {
      const { apply, config } = driverOf(t);
      assert.equal(reasonOf(await apply(config())), "proved");
      const text = program.config();
      program.moods(mood);
      assert.equal(reasonOf(await apply(config("[SERVICE]\n  Flush 5\n"))), `false fluent-bit/${reason}`);
      program.moods();
      assert.equal(program.config(), text);
      await program.kill();
      await program.start();
    });
  }
}
