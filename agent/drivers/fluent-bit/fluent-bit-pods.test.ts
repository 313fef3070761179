/** The driver against Fluent Bits that run as pods of two nodes, with a kube-apiserver and kubelets of our own. */
import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { TestContext } from "node:test";
import { placeFluentBit } from "../../../test/support/fluent-bit/fluent-bit-process.ts";
import type { FluentBitProcess } from "../../../test/support/fluent-bit/fluent-bit-process.ts";
import { freePort } from "../../../test/support/free-ports.ts";
import { startProgramPods } from "../../../test/support/kubernetes/program-pods.ts";
import type { ProgramPods } from "../../../test/support/kubernetes/program-pods.ts";
import { allowsBy, fluentBitRules } from "../../../test/support/kubernetes/rbac.ts";
import { BundleRenderer } from "../../pipeline/render-bundle.ts";
import { facts, writeBundle } from "../../pipeline/testing/bundles.ts";
import { until } from "../../pipeline/testing/until.ts";
import type { DriverResult } from "../driver.ts";
import { PlaceTrouble } from "../place.ts";
import { fluentBitWorld } from "../keep-with-programs.ts";
import { readDriverSettings } from "../settings.ts";
import { FluentBit } from "./fluent-bit.ts";
import type { FluentBitWorld } from "./fluent-bit.ts";

const object = "falconry-fluent-bit";
const hosts = ["127.0.0.1", "127.0.0.2"];
let cluster: ProgramPods;
let programs: readonly FluentBitProcess[] = [];
let dir = "";
let port = 0;

before(async (t) => {
  const context = t as TestContext;
  cluster = await startProgramPods(context, {
    namespace: "logging",
    kind: "Secret",
    object,
    daemonSet: "fluent-bit",
    nodes: 2,
  });
  cluster.allow(allowsBy("logging", fluentBitRules));
  dir = mkdtempSync(join(tmpdir(), "falconry-fluent-bits-"));
  port = await freePort();
  programs = await Promise.all(hosts.map((host) => placeFluentBit(context, { host, port })));
  for (const { configDir } of programs) cluster.mount(configDir);
  // The agent brings what they are started with.
  const { driver } = driverOf(context);
  await until("their first config is there", () => programs.every((each) => each.config() !== ""));
  // Another one of the same name would now and then be in its way.
  driver.stop();
  for (const program of programs) await program.start();
  context.after(() => rmSync(dir, { recursive: true, force: true }));
});

/** The driver of one node's agent. */
function driverOf(
  t: TestContext,
  more: Readonly<Record<string, string>> = {},
  world: Partial<FluentBitWorld> = {},
) {
  const problems: string[] = [];
  const told: string[] = [];
  const { fluentBit: settings } = readDriverSettings(
    {
      ...cluster.env,
      FALCONRY_NODE: "cp-1",
      FALCONRY_RULES_DRIVER: "falco",
      FALCONRY_FALCO_RULES_DIR: "/r",
      FALCONRY_FALCO_ALERTS_LISTEN: "127.0.0.1:1",
      FALCONRY_SHIPPER_DRIVER: "fluent-bit",
      FALCONRY_FLUENT_BIT_SECRET: `logging/${object}`,
      FALCONRY_FLUENT_BIT_PODS: `fluent-bit.test:${port}`,
      FALCONRY_FLUENT_BIT_CONFIG: "/fluent-bit/falconry/fluent-bit.conf",
      FALCONRY_FLUENT_BIT_DATA_DIR: dir,
      FALCONRY_FLUENT_BIT_PROOF_SECONDS: "20",
      ...more,
    },
    problems,
  );
  assert.ok(settings && problems.length === 0, problems.join("; "));
  const renderer = new BundleRenderer({
    allowList: { destinations: [], fileDirectories: [dir], tailDirectories: [dir] },
  });
  const driver = new FluentBit(
    settings,
    { ...fluentBitWorld(settings, async () => hosts), ...world },
    {
      candidate: join(dir, "candidate.conf"),
      render: async (request, of) => renderer.render(request, of),
      records: undefined,
      onProblem: (code) => told.push(code),
      onLook: () => {},
    },
  );
  t.after(() => driver.stop());
  const apply = async (content: string): Promise<DriverResult> => {
    const source = writeBundle(dir, "shipper", content);
    for (;;) {
      const result = await driver.apply({ source, facts, isKnown: false });
      const isUp = programs.every((each) => each.isRunning());
      if (reasonOf(result) !== "away fluent-bit/away" || !isUp) return result;
      await pause(50);
    }
  };
  return { driver, apply, told };
}

const reasonOf = (result: DriverResult) => (result.ok === true ? "proved" : `${result.ok} ${result.reason}`);
const config = (more = "") => `[INPUT]
  Name tail
  Alias audit
  Tag audit
  Path ${join(dir, "audit.log")}
  Parser json
[OUTPUT]
  Name null
  Alias store
  Match audit
${more}`;

test("a config is proved by every pod once its kubelet has brought it, and what the pods read is counted", async (t) => {
  const { driver, apply } = driverOf(t);
  appendFileSync(join(dir, "audit.log"), '{"auditID":"one"}\n');
  assert.equal(reasonOf(await apply(config())), "proved");
  const data = cluster.find("Secret", object)?.["data"] as Record<string, string>;
  assert.deepEqual(Object.keys(data).toSorted(), ["falconry_parsers.conf", "fluent-bit.conf"]);
  assert.ok(programs.every(({ configDir }) => existsSync(join(configDir, "falconry_parsers.conf"))));
  // Both read the same file here.
  await until("both are counted", () => driver.report().counters.events === 2);
  const aliases = driver.report().outputs.map(({ alias }) => alias);
  assert.deepEqual(aliases, ["store@127.0.0.1", "store@127.0.0.2"]);
});

test("pods to which no kubelet brings the config prove nothing however often they are told, and the one of before comes back", async (t) => {
  assert.equal(reasonOf(await driverOf(t).apply(config("[SERVICE]\n  Flush 2\n"))), "proved");
  const before = cluster.find("Secret", object)?.["data"];
  cluster.sync(false);
  t.after(() => cluster.sync(true));
  const { apply } = driverOf(t, { FALCONRY_FLUENT_BIT_PROOF_SECONDS: "3" });
  const refused = await apply(config("[SERVICE]\n  Flush 3\n"));
  assert.ok(refused.ok === false && refused.reason === "fluent-bit/kept-old", JSON.stringify(refused));
  assert.match(refused.detail, /http:\/\/127\.0\.0\.1:\d+: after \d+ reloads it shows/);
  assert.deepEqual(cluster.find("Secret", object)?.["data"], before);
});

test("a config that names the node is refused, because one text is for all of them", async (t) => {
  const { apply } = driverOf(t);
  const refused = await apply(config("[FILTER]\n  Name modify\n  Match audit\n  Add x_node ${NODE}\n"));
  assert.equal(reasonOf(refused), "false shipper/not-in-fluent-bit");
});

test("pods that wait for their first config get it as soon as kube-apiserver is back, and what was in the way is told once", async (t) => {
  let text: string | undefined;
  let tries = 0;
  const place = {
    name: "Secret",
    isOurs: true,
    refuses: () => undefined,
    read: async () => text,
    put: async (next: string | undefined) => {
      tries += 1;
      if (tries < 3) throw new PlaceTrouble("cannot-write", "connect ECONNREFUSED");
      text = next;
    },
    claim: () => {},
    stop: () => {},
  };
  const look = async () => Promise.reject(new Error("no pod has an address"));
  const { told } = driverOf(t, {}, { place, look });
  await until("the config without a bundle is there", () => text !== undefined);
  assert.match(text ?? "", /no bundle yet/);
  assert.deepEqual(told, ["fluent-bit/cannot-write"]);
  assert.equal(tries, 3);
});
