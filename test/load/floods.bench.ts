import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";

import { adminOf, enrolMany } from "../floods/good-agents.ts";
import { startServerProcess, type ServerProcess } from "../floods/server-process.ts";
import { startSimAgent } from "../support/sim-agent.ts";
import { openLink, type SimLink } from "../support/sim-link.ts";
import { startThrowaway } from "../support/throwaway.ts";
import { median, percentile, rounded } from "./figures.ts";

const callersMax = 20;
const pauseMs = 100;

/**
 * `floods [--agents N] [--rounds N] [--seconds N]`: what calls of good agents take while every attack of test/floods
 * goes on from another address, against what they take when it is quiet. Quiet and flooded rounds take turns, so that
 * what else the machine does falls on both.
 */
export async function run(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      agents: { type: "string", default: "500" },
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "10" },
    },
  });
  const input = {
    agents: Number(values.agents),
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
  };
  const postgres = await startThrowaway();
  try {
    const server = await startServerProcess(postgres.url.replace("/falconry?", "/falconry_template?"), {
      // Enrolling a fleet at once with one token is more than one person does.
      FALCONRY_CALL_RATE_PERCENT: "1000",
    });
    try {
      return { input, ...(await measure(server, input)) };
    } finally {
      await server.stop();
    }
  } finally {
    await postgres.stop();
  }
}

type Input = Readonly<Record<"agents" | "rounds" | "seconds", number>>;

async function measure(server: ServerProcess, { agents, rounds, seconds }: Input): Promise<object> {
  const identities = await enrolMany(server, await adminOf(server), agents);
  const sims = identities.map((identity) => startSimAgent(identity));
  const links = identities.slice(0, callersMax).map((identity) => openLink("stream", identity));
  let lost = 0;
  for (const sim of sims) void sim.ended.then((error) => (lost += error === undefined ? 0 : 1));
  try {
    await Promise.all(sims.map((sim) => sim.connected));
    await call(links, seconds / 2);
    const [quiet, flooded]: [number[], number[]] = [[], []];
    const residentBefore = server.residentMiB();
    let residentPeak = residentBefore;
    const floods: object[] = [];
    for (let round = 0; round < rounds; round += 1) {
      quiet.push(...(await call(links, seconds)));
      const flood = startFlood(server.port);
      flooded.push(...(await call(links, seconds)));
      residentPeak = Math.max(residentPeak, server.residentMiB());
      floods.push(await flood.stop());
    }
    return {
      quietMs: describe(quiet),
      floodedMs: describe(flooded),
      ratioP50: rounded(median(flooded) / median(quiet), 2),
      ratioP99: rounded(percentile(flooded, 0.99) / percentile(quiet, 0.99), 2),
      agentsLost: lost,
      floods,
      refused: await server.refused(),
      serverRssMiB: { before: Math.round(residentBefore), peak: Math.round(residentPeak) },
    };
  } finally {
    await Promise.all(links.map((link) => link.close()));
    await Promise.all(sims.map((sim) => sim.kill()));
  }
}

/** Each caller calls at its own pace; gives how long each call took. Any call that fails fails the run. */
async function call(links: readonly SimLink[], seconds: number): Promise<number[]> {
  const times: number[] = [];
  const end = performance.now() + seconds * 1000;
  await Promise.all(
    links.map(async ({ client }, i) => {
      await delay((i * pauseMs) / links.length);
      while (performance.now() < end) {
        const startedAt = performance.now();
        await client.deliverAlerts({ alerts: [] });
        times.push(performance.now() - startedAt);
        await delay(pauseMs);
      }
    }),
  );
  return times;
}

function startFlood(port: number): { stop(): Promise<object> } {
  const child = spawn(process.execPath, [join(import.meta.dirname, "flood-process.ts"), String(port)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
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

function describe(times: readonly number[]): object {
  return {
    calls: times.length,
    p50: rounded(median(times), 1),
    p99: rounded(percentile(times, 0.99), 1),
    max: rounded(Math.max(...times), 1),
  };
}
