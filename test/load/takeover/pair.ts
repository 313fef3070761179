import { ClusterService } from "#proto/fleet/v1/cluster";

import { push, publishRoot, rulesBundle, type TestServer } from "../../../server/testing.ts";
import { adminOf, enrolOne } from "../../floods/good-agents.ts";
import { startServerProcess, type ServerProcess } from "../../floods/server-process.ts";
import { waitFor } from "../fleet/bench.ts";
import { startSteadyAgent, type SteadyAgent } from "./agents.ts";
import { openLedger, type Ledger } from "./ledger.ts";

export type Name = "a" | "b";

/** Two server processes on one database and one state directory, and agents that go to either. */
export interface Pair {
  readonly names: readonly [Name, Name];
  server(name: Name): ServerProcess;
  person(name: Name): Pick<TestServer, "client">;
  /** Starts a server that was killed again, on its port. */
  restart(name: Name): Promise<void>;
  readonly ledger: Ledger;
  readonly agents: readonly SteadyAgent[];
  /** Digests of two versions of the rules, to be rolled out in turns. */
  readonly digests: readonly string[];
  stop(): Promise<void>;
}

const readyMs = 120_000;

/** `dice` decide where agents go. */
export async function startPair(url: string, clusters: number, dice: () => number): Promise<Pair> {
  const named = (name: Name) => `${url}${url.includes("?") ? "&" : "?"}application_name=${name}`;
  const a = await startServerProcess(named("a"));
  const servers: Record<Name, ServerProcess> = {
    a,
    b: await startServerProcess(named("b"), {}, { dir: a.dir }),
  };
  const people = { a: await adminOf(servers.a), b: await adminOf(servers.b) };
  const agents: SteadyAgent[] = [];
  const bundles = [rulesBundle("1.0.0"), rulesBundle("1.1.0")];
  const ledgers: Ledger[] = [];
  const stop = async () => {
    await Promise.all(ledgers.map((ledger) => ledger.close()));
    await Promise.all(agents.map((agent) => agent.stop()));
    await Promise.all([servers.a.stop(), servers.b.stop()]);
  };
  try {
    const ledger = await openLedger(url);
    ledgers.push(ledger);
    const root = await publishRoot(people.a);
    await push(people.b, root, undefined, bundles);
    for (let i = 0; i < clusters; i += 1) {
      const identity = await enrolOne(servers.a, people.a, `eu-${String(i).padStart(3, "0")}`);
      agents.push(startSteadyAgent(identity, () => Object.values(servers), dice));
    }
    return {
      names: ["a", "b"],
      server: (name) => servers[name],
      person: (name) => people[name],
      restart: async (name) => {
        const { dir, port } = servers[name];
        servers[name] = await startServerProcess(
          named(name),
          { FALCONRY_LISTEN: `127.0.0.1:${port}` },
          { dir },
        );
      },
      ledger,
      agents,
      digests: bundles.map(({ digest }) => digest),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Has every second agent at each server, so that each kill meets some of them, and both servers answer people. */
export async function settle(pair: Pair): Promise<void> {
  const [a, b] = pair.names;
  const placeOf = (i: number) => pair.server(i % 2 === 0 ? a : b);
  await Promise.all(pair.agents.map((agent, i) => agent.moveTo(placeOf(i))));
  await waitFor("every agent to be at its server", readyMs, () => {
    const missing = pair.agents.filter((agent, i) => agent.at !== placeOf(i)).length;
    return Promise.resolve(missing === 0 ? true : undefined);
  });
  for (const name of pair.names) {
    const clusters = await pair.person(name).client(ClusterService);
    await waitFor(`server ${name} to answer`, readyMs, async () => {
      await clusters.listClusters({ pageSize: 1 });
      return true;
    });
  }
}
