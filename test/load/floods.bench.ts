import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";

import { createRandom } from "../../cli/generator/random.ts";
import { adminOf, enrolMany } from "../floods/good-agents.ts";
import { startServerProcess, type ServerProcess } from "../floods/server-process.ts";
import { startSimAgent, type SimIdentity } from "../support/sim-agent.ts";
import { startThrowaway } from "../support/throwaway.ts";
import { median, percentile, rounded } from "./figures.ts";

const callersMax = 20;

/**
 * `floods [--agents N] [--rounds N] [--seconds N] [--profile DIR]`: what calls of good agents take while every attack of test/floods
 * goes on from another address, against what they take when it is quiet, and when the same attackers are refused by a bare listener
 * beside the server, which is what the machine takes for them. The three kinds of rounds take turns, so that what else the machine does falls on
 * all.
 */
export async function run(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      agents: { type: "string", default: "500" },
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "10" },
      profile: { type: "string" },
    },
  });
  const input = {
    agents: Number(values.agents),
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
  };
  if (cpus().length < 2) {
    throw new Error("The server needs a core for itself: this takes a machine of two or more");
  }
  giveCore(process.pid, others); // And with it whatever it starts.
  const postgres = await startThrowaway();
  try {
    const server = await startServerProcess(
      postgres.url.replace("/falconry?", "/falconry_template?"),
      {
        // Enrolling a fleet at once with one token is more than one person does.
        FALCONRY_CALL_RATE_PERCENT: "1000",
      },
      { nodeArgs: values.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${values.profile}`] },
    );
    giveCore(server.pid, "0");
    try {
      return { input, ...(await measure(server, input)) };
    } finally {
      await server.stop();
    }
  } finally {
    await postgres.stop();
  }
}

/** The server has the first core for itself; all others are for whoever calls, attacks, or keeps its data. */
const others = `1-${cpus().length - 1}`;

function giveCore(pid: number, list: string): void {
  execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", list, String(pid)], { stdio: "ignore" });
}

type Input = Readonly<Record<"agents" | "rounds" | "seconds", number>>;

async function measure(server: ServerProcess, { agents, rounds, seconds }: Input): Promise<object> {
  const identities = await enrolMany(server, await adminOf(server), agents);
  const sims = identities.map((identity) => startSimAgent(identity));
  const callers = startCallers(identities.slice(0, callersMax));
  const listener = await startListener();
  let lost = 0;
  for (const sim of sims) void sim.ended.then((error) => (lost += error === undefined ? 0 : 1));
  try {
    await Promise.all(sims.map((sim) => sim.connected));
    await callers.call(seconds);
    const quiet: Round[] = [];
    const beside: Round[] = [];
    const flooded: Round[] = [];
    const residentBefore = server.residentMiB();
    let residentPeak = residentBefore;
    const floods: object[] = [];
    for (let round = 0; round < rounds; round += 1) {
      quiet.push(await observe(server, callers, seconds));
      const elsewhere = startFlood(listener.port);
      beside.push(await observe(server, callers, seconds));
      await elsewhere.stop();
      const flood = startFlood(server.port);
      flooded.push(await observe(server, callers, seconds));
      residentPeak = Math.max(residentPeak, server.residentMiB());
      floods.push(await flood.stop());
    }
    return {
      quiet: describe(quiet),
      beside: describe(beside),
      flooded: describe(flooded),
      ratioP50: ratioOf(quiet, flooded, 0.5),
      ratioP99: ratioOf(quiet, flooded, 0.99),
      ratioP99Beside: ratioOf(quiet, beside, 0.99),
      ratioP99ToBeside: ratioOf(beside, flooded, 0.99),
      agentsLost: lost,
      floods,
      refused: await server.refused(),
      serverRssMiB: { before: Math.round(residentBefore), peak: Math.round(residentPeak) },
    };
  } finally {
    listener.stop();
    callers.stop();
    await Promise.all(sims.map((sim) => sim.kill()));
  }
}

interface Round {
  readonly times: readonly number[];
  /** What the server's process took of one core. */
  readonly coreShare: number;
}

async function observe(server: ServerProcess, callers: Callers, seconds: number): Promise<Round> {
  const [cpuBefore, startedAt] = [cpuMs(server.pid), performance.now()];
  const times = await callers.call(seconds);
  return { times, coreShare: (cpuMs(server.pid) - cpuBefore) / (performance.now() - startedAt) };
}

/** User and system time of all threads of a process, in milliseconds (proc(5): 14th and 15th field, in ticks of 10 ms). */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/**
 * A percentile of all calls of one kind of rounds to that of another; and how sure that is: the middle 90 % of what it would have been with other
 * rounds, drawn with replacement from these (Efron, "Bootstrap Methods", 1979). Three rounds that follow each other are drawn together, as what else
 * the machine did then fell on all of them.
 */
function ratioOf(base: readonly Round[], other: readonly Round[], share: number): object {
  const dice = createRandom("bootstrap");
  const ratio = (at: readonly number[]) =>
    percentile(
      at.flatMap((i) => other[i]?.times ?? []),
      share,
    ) /
    percentile(
      at.flatMap((i) => base[i]?.times ?? []),
      share,
    );
  const all = [...base.keys()];
  const drawn = Array.from({ length: 200 }, () => ratio(all.map(() => dice.below(all.length))));
  const sorted = drawn.toSorted((a, b) => a - b);
  return {
    ratio: rounded(ratio(all), 2),
    from: rounded(percentile(sorted, 0.05), 2),
    to: rounded(percentile(sorted, 0.95), 2),
  };
}

interface Callers {
  /** How long each call took, in milliseconds. Any call that fails fails the run. */
  call(seconds: number): Promise<readonly number[]>;
  stop(): void;
}

function startCallers(identities: readonly SimIdentity[]): Callers {
  const child = spawn(process.execPath, [join(import.meta.dirname, "callers-process.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const addresses = identities.map(({ baseUrl, ca, cert, key }) => ({ baseUrl, ca, cert, key }));
  child.stdin.write(`${JSON.stringify(addresses)}\n`);
  return {
    call: async (seconds) => {
      child.stdin.write(`${seconds}\n`);
      const line = await lines.next();
      if (line.done === true) throw new Error("A call failed; what the callers said is above");
      return JSON.parse(line.value) as number[];
    },
    stop: () => void child.stdin.end(),
  };
}

/**
 * Attackers are other machines: what they take to attack is not to be taken from the server or its callers. So they get
 * what is left of a core that the server does not use, by the system's idle class (sched(7)).
 */
function startFlood(port: number): { stop(): Promise<object> } {
  const program = join(import.meta.dirname, "flood-process.ts");
  const args = ["--cpu-list", others, "chrt", "--idle", "0", process.execPath, program, String(port)];
  const child = spawn("taskset", args, { stdio: ["pipe", "pipe", "inherit"] });
  const said = text(child.stdout);
  return {
    stop: async () => {
      const ended = once(child, "exit");
      child.stdin.end();
      await ended;
      return JSON.parse(await said) as object;
    },
  };
}

/** What refuses attackers at no more than it takes, in a process of its own as the server is. */
async function startListener(): Promise<{ readonly port: number; stop(): void }> {
  const program = join(import.meta.dirname, "bare-listener-process.ts");
  const child = spawn(process.execPath, [program], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return { port: Number(line.toString()), stop: () => void child.stdin.end() };
}

function describe(rounds: readonly Round[]): object {
  const times = rounds.flatMap((round) => round.times);
  return {
    calls: times.length,
    p50Ms: rounded(median(times), 1),
    p99Ms: rounded(percentile(times, 0.99), 1),
    maxMs: rounded(Math.max(...times), 1),
    serverCoreShare: rounded(median(rounds.map((round) => round.coreShare)), 3),
  };
}
