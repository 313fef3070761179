import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { freePorts } from "../support/free-ports.ts";

const root = join(import.meta.dirname, "..", "..");
const sources = join(root, "cli", "main.ts");
const builtBefore = process.env["FALCONRY_TEST_BUILT"];
/** Below our packages, as an installed one: that is where it finds the embedded Postgres. */
const dist = builtBefore ?? join(root, "node_modules", ".cache", `package-${process.pid}`);
const built = join(dist, "fleetctl.cjs");
/** A fleet started from sources takes three times the CPU: by itself and in the long form the first round shows that, else each program is only asked for its version. */
const isLong = builtBefore === undefined || process.env["FALCONRY_CHAOS_ROUNDS"] !== undefined;

before(async () => {
  if (builtBefore !== undefined) return;
  const { code, talk } = await run([join(root, "tools", "build.ts"), dist]);
  assert.equal(code, 0, talk);
});
after(() => {
  if (builtBefore === undefined) rmSync(dist, { recursive: true });
});

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

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly talk: string;
}

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const stdio = ["ignore", "pipe", "pipe"] as const;
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: [...stdio] });
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const [out, talk, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  return { code, out, talk };
}

async function upOnce(fleetctl: string, dir: string, port: number): Promise<Ended & { report: Report }> {
  const args = ["up", "--once", "-o", "json", "--state", join(dir, "state"), "--port", String(port)];
  // Each of its regions, and as few clusters as show that a region's are together.
  if (!isLong) args.push(...["eu=2", "us=1", "tr=1"].flatMap((each) => ["--region", each]));
  const ended = await run([fleetctl, ...args], { FLEETCTL_CONFIG: join(dir, "contexts.json") });
  return { ...ended, report: JSON.parse(ended.out) as Report };
}

/** Starts a fleet, and ends it with SIGTERM as soon as something is so. */
async function interruptWhen(t: TestContext, dir: string, isSo: (talk: string) => boolean): Promise<Ended> {
  const args = [built, "up", "--state", join(dir, "state"), "--region", "eu=1"];
  const child = spawn(process.execPath, [...args, "--port", String(await freePorts())], {
    env: { ...process.env, FLEETCTL_CONFIG: join(dir, "contexts.json") },
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGTERM"));
  let talk = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (talk += chunk));
  const exit = new Promise<number | null>((resolve) => child.once("close", resolve));
  const looking = setInterval(() => {
    if (!isSo(talk)) return;
    clearInterval(looking);
    child.kill("SIGTERM");
  }, 5);
  const [out, code] = await Promise.all([text(child.stdout), exit]);
  clearInterval(looking);
  return { code, out, talk };
}

/** Processes that work in a folder: their command line or their environment names it. */
function processesIn(dir: string): readonly string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return ["cmdline", "environ"].some((name) =>
        readFileSync(`/proc/${pid}/${name}`, "utf8").includes(dir),
      );
    } catch {
      // It ended between two looks, or is somebody else's.
      return false;
    }
  });
}

test("what npm packs holds the programs, what they read, and the licence of each part", async () => {
  const { name, bin, files } = JSON.parse(readFileSync(join(dist, "package.json"), "utf8")) as {
    name: string;
    bin: Record<string, string>;
    files: readonly string[];
  };
  assert.equal(name, "falconry");
  for (const file of Object.values(bin)) assert.ok(statSync(join(dist, file)).mode & 0o100, file);
  for (const file of files) assert.ok(globSync(file, { cwd: dist }).length > 0, file);
  const notices = readFileSync(join(dist, "THIRD-PARTY-NOTICES.txt"), "utf8");
  for (const part of ["@connectrpc/connect", "drizzle-orm", "@kubernetes/client-node", "undici", "yaml"]) {
    assert.match(notices, new RegExp(`^ {2}${part}@\\d\\S*: [\\w(]`, "m"));
  }
});

test("as sources each program starts by itself", async () => {
  const programs = ["cli/main.ts", "server/main.ts", "agent/main.ts"].map((file) => join(root, file));
  for (const program of programs) {
    const { code, out, talk } = await run([program, "--version"]);
    assert.equal(code, 0, talk);
    assert.match(out, /\d+\.\d+\.\d+/);
  }
});

test("built, fleetctl tells of its commands what the sources tell", async () => {
  const argv = ["cluster", "onboard", "--help"];
  const [ours, theirs] = await Promise.all([run([sources, ...argv]), run([built, ...argv])]);
  assert.equal(theirs.code, 0, theirs.talk);
  assert.equal(theirs.out, ours.out);
});

test("npm start that is told to end while it installs ends the install and what that started", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "falconry-start-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const file of ["bin/node24.js", "tools/bootstrap.mjs", "package.json", "package-lock.json"]) {
    cpSync(join(root, file), join(dir, file));
  }
  const npm = join(dir, "npm.js");
  const started = join(dir, "started");
  // As npm does, which has others unpack and build.
  writeFileSync(
    npm,
    `import { spawn } from "node:child_process";
    import { renameSync, writeFileSync } from "node:fs";
    const { pid } = spawn("sleep", ["60"], { stdio: "ignore" });
    writeFileSync("${started}.new", process.pid + " " + pid);
    renameSync("${started}.new", "${started}");`,
  );
  const child = spawn(process.execPath, [join(dir, "tools/bootstrap.mjs"), "up"], {
    env: { PATH: process.env["PATH"], npm_execpath: npm },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = once(child, "close");
  while (!existsSync(started) && child.exitCode === null) await pause(5);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [143, null]);
  const pids = readFileSync(started, "utf8").split(" ");
  const running = () => pids.filter((pid) => existsSync(`/proc/${pid}/exe`));
  for (let looks = 0; running().length > 0 && looks < 500; looks += 1) await pause(10);
  assert.deepEqual(running(), []);
});

test("whoever ends the npm of npm start ends the fleet with it, and leaves nothing behind that goes on unseen", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "falconry-npm-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  mkdirSync(join(dir, "tools"));
  cpSync(join(root, "package.json"), join(dir, "package.json"));
  const started = join(dir, "started");
  // In the place of what starts the fleet: what has to hear of the signal.
  writeFileSync(
    join(dir, "tools", "bootstrap.mjs"),
    `import { renameSync, writeFileSync } from "node:fs";
    writeFileSync("${started}.new", String(process.pid));
    renameSync("${started}.new", "${started}");
    setTimeout(() => {}, 60_000);`,
  );
  const npm = spawn("npm", ["start"], { cwd: dir, env: { PATH: process.env["PATH"] }, stdio: "ignore" });
  const ended = once(npm, "close");
  while (!existsSync(started) && npm.exitCode === null) await pause(5);
  npm.kill("SIGTERM");
  await ended;
  const pid = readFileSync(started, "utf8");
  for (let looks = 0; existsSync(`/proc/${pid}/exe`) && looks < 500; looks += 1) await pause(10);
  assert.equal(existsSync(`/proc/${pid}/exe`), false);
});

test(
  "up that is told to end while its database, its server or its agents start ends all of them, says that it was interrupted, and goes on from there the next time",
  { timeout: 280_000 },
  async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "falconry-up-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    // So that the account of Postgres may enter, and the database lies here and not elsewhere.
    chmodSync(dir, 0o755);
    const state = (...names: readonly string[]) => join(dir, "state", ...names);
    const moments: readonly (readonly [step: string, (talk: string) => boolean])[] = [
      ["database", () => existsSync(state("postgres", "data.new"))],
      ["server", (talk) => talk.includes("ok   database")],
      ["agents enrolled", () => existsSync(state("clusters", "eu-1", "agent", "agent.pid"))],
    ];
    for (const [step, isSo] of moments) {
      const { code, talk } = await interruptWhen(t, dir, isSo);
      assert.equal(code, 130, talk);
      const lines = talk.trimEnd().split("\n");
      assert.equal(lines.at(-1), "fleetctl: Interrupted before the fleet was up", talk);
      assert.match(lines.at(-2) ?? "", /^ok {3}clean shutdown /, talk);
      assert.match(lines.at(-3) ?? "", new RegExp(`^stop ${step} .* interrupted$`), talk);
      assert.deepEqual(processesIn(dir), [], talk);
      assert.ok(!existsSync(state("postgres", "data.new")));
    }
  },
);

test(
  "up --once proves every step, changes exactly the eu clusters, and goes on from its state the second time, on another port, which the built package can as well",
  { timeout: 300_000 },
  async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "falconry-up-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const port = await freePorts();

    const first = await upOnce(isLong ? sources : built, dir, port);
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

    const second = await upOnce(built, dir, await freePorts());
    assert.equal(second.code, 0, second.talk);
    const enrolled = second.report.steps.find((s) => s.name === "agents enrolled");
    assert.match(enrolled?.detail ?? "", /0 enrolled now/);

    // Loads the library for Kubernetes, which is packed until it is needed.
    const env = { FLEETCTL_CONFIG: join(dir, "contexts.json"), KUBECONFIG: join(dir, "nowhere") };
    const image = `images.example.com/agent@sha256:${"0".repeat(64)}`;
    const asked = ["cluster", "onboard", "eu-1", "--context", "none", "--region", "eu", "--image", image];
    const refused = await run([built, ...asked], env);
    assert.notEqual(refused.code, 4, refused.talk);
    assert.match(refused.talk, /kubeconfig/);
  },
);
