/** Agents as processes of their own, with bundles that kill their workers or them: the old bundle runs on, and why is told. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { BuiltBundle } from "#trust";
import { newHome, rules, shipper, startAgentFleet, until } from "./testing.ts";
import type { AgentFleet, Home } from "./testing.ts";
import { programArgs } from "../test/support/built-programs.ts";
import { bareEnv } from "../test/support/bare-env.ts";
import { fillDisk, mayMount, mountSmallDisk, unmount } from "../test/support/small-disk.ts";

const hex = (digest: string) => digest.slice("sha256:".length);

/** Rules that notice an exec, and say in a comment what the worker is to die of. */
function sabotaged(version: string, mode: string): BuiltBundle {
  const content = `# sabotage=${mode}
- rule: Exec into pod
  desc: Somebody opened a shell in a running pod.
  condition: ka.target.subresource = exec
  output: exec by %ka.user.name
  priority: WARNING
  source: k8s_audit
`;
  return rules(version, { files: [{ path: "rules.yaml", content }] });
}

/** An agent that is started again whenever it dies, as a kubelet does. */
class Supervised {
  starts = 0;
  readonly #env: Record<string, string>;
  #child: ChildProcess | undefined;
  #isStopping = false;

  constructor(t: TestContext, home: Home) {
    const saboteur = join(import.meta.dirname, "..", "test", "faults", "saboteur.ts");
    this.#env = {
      ...home.env,
      ...bareEnv(),
      FALCONRY_LOG_LEVEL: process.env["FALCONRY_TEST_LOG"] ?? "silent",
      NODE_OPTIONS: `--import=${saboteur} --max-old-space-size=128`,
    };
    t.after(() => this.stop());
  }

  start(): void {
    this.starts += 1;
    const child = spawn(process.execPath, [...programArgs("agent")], {
      env: this.#env,
      stdio: ["ignore", "inherit", "inherit"],
    });
    this.#child = child;
    child.once("exit", () => {
      if (!this.#isStopping) this.start();
    });
  }

  /** From the next start on. */
  soak(seconds: string): void {
    this.#env["FALCONRY_SOAK_SECONDS"] = seconds;
  }

  async kill(): Promise<void> {
    const child = this.#child;
    assert.ok(child);
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }
}

async function begin(t: TestContext, soakSeconds: string, ...bundles: readonly BuiltBundle[]) {
  const fleet = await startAgentFleet(t);
  const [good] = fleet.bundles;
  assert.ok(good);
  const config = shipper("1.0.0");
  await fleet.release(config, ...bundles);
  const home = newHome(t, await fleet.joinString(), { FALCONRY_SOAK_SECONDS: soakSeconds });
  const agent = new Supervised(t, home);
  agent.start();
  await until("it is there", async () => (await fleet.agent())?.transport === "stream");
  await fleet.assign("rules", "starter@1.0.0");
  await until("the good rules are proved", async () => (await fleet.proved("rules")) === good.digest);
  await fleet.assign("shipper", "default@1.0.0");
  await until("the shipper is proved", async () => (await fleet.proved("shipper")) === config.digest);
  await until("both have soaked", () => {
    const { running } = home.current();
    return running.rules?.sha256 === hex(good.digest) && running.shipper !== undefined;
  });
  return { fleet, good, home, agent };
}

/** The refusal of a bundle as the server keeps it. */
function refusalOf(
  fleet: AgentFleet,
  { digest, bundle: { name, version } }: BuiltBundle,
  meanwhile: () => unknown,
) {
  let wroteMs = 0;
  const look = async () => {
    // An event is read once; the kind of it comes again and again.
    if (performance.now() - wroteMs > 500) {
      wroteMs = performance.now();
      meanwhile();
    }
    return (await fleet.agent())?.attempts.find(
      ({ bundle, phase }) => bundle?.digest === digest && (phase === "rejected" || phase === "rolled-back"),
    );
  };
  // Three deaths, the waits between them, and each time a worker that starts anew.
  return until(`the refusal of ${name}@${version} is on the server`, look, 120_000);
}

const modes = [
  ["exit", "rejected", "pipeline/crashed"],
  ["later", "rolled-back", "soak/crash-loop"],
  ["event", "rolled-back", "soak/crash-loop"],
  ["memory", "rolled-back", "soak/crash-loop"],
  ["kill", "rolled-back", "soak/crash-loop"],
] as const;

test("a bundle that kills the worker or the agent is given up, the old one detects on, and the server is told why", async (t) => {
  const bad = modes.map(([mode], i) => sabotaged(`9.${i}.0`, mode));
  const { fleet, good, home, agent } = await begin(t, "1", ...bad);
  // On a busy machine some need seconds to die, and a soak that is over by then would have let them pass.
  agent.soak("120");
  await agent.kill();
  for (const [i, [mode, phase, reason]] of modes.entries()) {
    const bundle = bad[i];
    assert.ok(bundle);
    const starts = agent.starts;
    await fleet.assign("rules", `starter@9.${i}.0`);
    const refusal = await refusalOf(fleet, bundle, () => mode === "event" && home.list("poison"));
    assert.deepEqual([mode, refusal.phase, refusal.reason], [mode, phase, reason]);
    assert.match(refusal.detail, /died 3 times/);
    assert.match(refusal.logTail, mode === "event" ? /died: the rules blew up over an event/ : /died: /);
    await until("the good rules run", async () => (await fleet.proved("rules")) === good.digest);
    home.exec(`after-${mode}`);
    await until("detection goes on", async () => (await fleet.alerts()).includes(`after-${mode}`));
    assert.equal(home.current().running.rules?.sha256, hex(good.digest));
    assert.equal(home.current().trials.rules, undefined);
    // A worker's death is not the agent's, but where the bundle killed all of it.
    if (mode !== "kill") assert.equal(agent.starts, starts);
    else assert.ok(agent.starts >= starts + 3);
  }
});

test("after kill -9 at any point of an apply exactly the old or exactly the new bundle runs", async (t) => {
  const { fleet, home, agent } = await begin(t, "0");
  const digests = fleet.bundles.map(({ digest }) => digest);
  let seed = 20_260;
  const dice = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  for (let round = 1; round <= 4; round++) {
    const before = home.current().assignment?.generation ?? 0;
    await fleet.assign("rules", `starter@1.${round % 2}.0`);
    await until("the assignment has come", () => (home.current().assignment?.generation ?? 0) > before);
    const delayMs = dice() * 150;
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await agent.kill();
    const { running, trials } = home.current();
    for (const sha256 of [
      running.rules?.sha256,
      trials.rules?.sinceMs === undefined ? undefined : trials.rules.sha256,
    ]) {
      if (sha256 === undefined) continue;
      const bytes = readFileSync(join(home.paths.bundles, `${sha256}.json`));
      assert.equal(createHash("sha256").update(bytes).digest("hex"), sha256);
    }
    home.exec(`round-${round}`);
    await until("it detects again", async () => (await fleet.alerts()).includes(`round-${round}`));
    assert.ok(digests.includes((await fleet.proved("rules")) ?? ""));
  }
  await fleet.assign("rules", "starter@1.1.0");
  await until("what is assigned runs in the end", async () => (await fleet.proved("rules")) === digests[1]);
});

test("a full disk swaps nothing: what ran goes on, the bundle runs once there is room", async (t) => {
  const fleet = await startAgentFleet(t);
  const [good, next] = fleet.bundles;
  assert.ok(good && next);
  const small = mkdtempSync(join(tmpdir(), "falconry-small-"));
  if (!mayMount) return t.skip("only root may mount a small disk");
  mountSmallDisk(small, "1m");
  t.after(() => {
    unmount(small);
    rmSync(small, { recursive: true, force: true });
  });
  const home = newHome(t, await fleet.joinString(), { FALCONRY_STATE_DIR: small });
  await home.start();
  await until("it is there", async () => (await fleet.agent())?.transport === "stream");
  await fleet.assign("rules", "starter@1.0.0");
  await until("the good rules are proved", async () => (await fleet.proved("rules")) === good.digest);
  const makeRoom = fillDisk(small);
  await fleet.assign("rules", "starter@1.1.0");
  await until("the server is told", async () =>
    (await fleet.agent())?.conditions.some(({ code }) => code === "disk/full" || code === "state/not-stored"),
  );
  assert.equal(await fleet.proved("rules"), good.digest);
  makeRoom();
  await until("the next rules are proved", async () => (await fleet.proved("rules")) === next.digest);
});

test("a shipper config that reads nothing while the log grows goes back by itself, and says so", async (t) => {
  const fleet = await startAgentFleet(t);
  const config = shipper("1.0.0");
  const { content = "" } = config.bundle.files[0] ?? {};
  const files = [
    { path: "fluent-bit.conf", content: content.replace("${AUDIT_LOG}", "${AUDIT_LOG}.elsewhere") },
  ];
  const blind = shipper("2.0.0", "", { files });
  await fleet.release(config, blind);
  const home = newHome(t, await fleet.joinString(), { FALCONRY_SOAK_SECONDS: "10" });
  await home.start();
  await until("it is there", async () => (await fleet.agent())?.transport === "stream");
  await fleet.assign("rules", "starter@1.0.0");
  await until("the rules are proved", async () => (await fleet.proved("rules")) !== undefined);
  await fleet.assign("shipper", "default@1.0.0");
  home.list("before");
  await until("it has soaked", () => home.current().running.shipper?.sha256 === hex(config.digest));
  await fleet.assign("shipper", "default@2.0.0");
  const refusal = await refusalOf(fleet, blind, () => home.list("unread"));
  assert.deepEqual([refusal.phase, refusal.reason], ["rolled-back", "soak/not-reading"]);
  home.exec("after");
  await until("detection goes on", async () => (await fleet.alerts()).includes("after"));
  assert.equal(await fleet.proved("shipper"), config.digest);
});
