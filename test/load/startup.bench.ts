import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { layoutOf } from "../../cli/local/layout.ts";
import { freePorts } from "../support/free-ports.ts";
import { median, rounded } from "./figures.ts";
import { measureAgents } from "./startup-agent.ts";

const root = join(import.meta.dirname, "../..");

/**
 * Sizes of the built programs, and what starting them costs, in turns with the sources and with a Node that does nothing. fleetctl talks to a
 * real server, and the agent starts on the state of one that ran.
 */
export async function run(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: { runs: { type: "string", default: "7" }, "idle-seconds": { type: "string", default: "30" } },
  });
  const runs = Number(values.runs);
  // Below our packages, where the embedded Postgres is found.
  const dist = join(root, "node_modules", ".cache", `startup-${process.pid}`);
  const dir = mkdtempSync(join(tmpdir(), "falconry-startup-"));
  try {
    const built = spawnSync(process.execPath, [join(root, "tools", "build.ts"), dist], { encoding: "utf8" });
    if (built.status !== 0) throw new Error(`The build failed: ${built.stderr}`);
    const port = await freePorts();
    const commands = await withFleet(dist, dir, port, () => measureCommands(dist, dir, runs));
    const { auditLog, agent, output, allowFile } = layoutOf(join(dir, "state")).cluster("eu-1");
    const agents = await measureAgents({
      programs: { built: join(dist, "falconry-agent.cjs"), sources: join(root, "agent", "main.ts") },
      place: { auditLog, agent, output, allowFile, sinkPort: port + 1 },
      runs,
      idleMs: Number(values["idle-seconds"]) * 1000,
    });
    return {
      input: { runs, idleSeconds: Number(values["idle-seconds"]) },
      sizesKiB: Object.fromEntries(
        ["fleetctl.cjs", "falconry-agent.cjs", "falconry-server.cjs"].map((file) => [
          file,
          Math.round(statSync(join(dist, file)).size / 1024),
        ]),
      ),
      commands,
      agents,
    };
  } finally {
    rmSync(dist, { recursive: true, force: true });
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Runs work beside a fleet of one cluster, brought up by the built programs; its state is left. */
async function withFleet<T>(dist: string, dir: string, port: number, work: () => T): Promise<T> {
  const args = ["up", "--region", "eu=1", "--rate", "1", "--state", join(dir, "state")];
  const env = { ...process.env, FLEETCTL_CONFIG: join(dir, "contexts.json") };
  const fleet = spawn(process.execPath, [join(dist, "fleetctl.cjs"), ...args, "--port", String(port)], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve) => fleet.once("exit", resolve));
  let said = "";
  try {
    await new Promise<void>((resolve, reject) => {
      const hear = (chunk: Buffer): void => {
        said += chunk.toString();
        if (said.includes("Ctrl-C ends it")) resolve();
      };
      fleet.stdout.on("data", hear);
      fleet.stderr.on("data", hear);
      void ended.then(() => reject(new Error(`The fleet did not come up: ${said}`)));
    });
    return work();
  } finally {
    fleet.kill("SIGTERM");
    await ended;
  }
}

/** Wall and CPU time of whole processes, medians, in turns; and as multiples of a Node that does nothing. */
function measureCommands(dist: string, dir: string, runs: number): object {
  const env = {
    ...process.env,
    NODE_COMPILE_CACHE: "",
    FLEETCTL_CONFIG: join(dir, "contexts.json"),
    FLEETCTL_CONTEXT: "local",
    XDG_CACHE_HOME: join(dir, "cache"),
  };
  const programs = { built: join(dist, "fleetctl.cjs"), sources: join(root, "bin", "fleetctl.js") };
  const cases: Record<string, Case> = { node: { args: ["-e", "0"], env } };
  for (const [name, program] of Object.entries(programs)) {
    // As the first start ever, and as any other.
    for (const [how, more] of [
      ["nothing kept", { NODE_DISABLE_COMPILE_CACHE: "1" }],
      ["compiled code kept", {}],
    ] as const) {
      cases[`--help, ${name}, ${how}`] = { args: [program, "--help"], env: { ...env, ...more } };
      cases[`cluster list, ${name}, ${how}`] = {
        args: [program, "cluster", "list"],
        env: { ...env, ...more },
      };
    }
  }
  const samples = new Map<string, Sample>(Object.keys(cases).map((name) => [name, { ms: [], cpuMs: [] }]));
  // The first round fills caches, and does not count.
  for (let round = 0; round <= runs; round++) {
    for (const [name, { args, env }] of Object.entries(cases)) {
      const cpu = childrenCpuMs();
      const began = performance.now();
      const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: "utf8" });
      if (status !== 0) throw new Error(`${name} ended with ${status}: ${stderr}`);
      if (round === 0) continue;
      samples.get(name)?.ms.push(performance.now() - began);
      samples.get(name)?.cpuMs.push(childrenCpuMs() - cpu);
    }
  }
  const bare = median(samples.get("node")?.ms ?? []);
  return Object.fromEntries(
    [...samples].map(([name, { ms, cpuMs }]) => [
      name,
      { ms: Math.round(median(ms)), cpuMs: median(cpuMs), ofBareNode: rounded(median(ms) / bare, 2) },
    ]),
  );
}

interface Case {
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

interface Sample {
  readonly ms: number[];
  readonly cpuMs: number[];
}

/** CPU time of children that have ended: fields 16 and 17 of proc(5)'s stat, in hundredths of a second. */
function childrenCpuMs(): number {
  const [, fields = ""] = readFileSync("/proc/self/stat", "utf8").split(") ");
  const [user = 0, system = 0] = fields.split(" ").slice(13, 15).map(Number);
  return (user + system) * 10;
}
