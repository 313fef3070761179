import { refused } from "../failure.ts";
import { stopGenerators } from "./generators.ts";
import type { Fleet } from "./fleet.ts";
import type { Managed } from "./processes.ts";

const agentMs = 15_000;
const serverMs = 20_000;

/**
 * Ends everything in the order in which nobody is left waiting: audit logs, agents, server, log store, database. Names
 * what did not end by itself; in a fleet that was still coming up a process may not have listened to SIGTERM yet.
 */
export async function shutDown(fleet: Fleet, isUp: boolean): Promise<string> {
  const startedAt = performance.now();
  const forced: string[] = [];
  const stop = async (managed: Managed | undefined, deadlineMs: number) => {
    const ending = (await managed?.stop(deadlineMs)) ?? "done";
    if (ending === "forced" || (ending === "told" && isUp)) forced.push(managed?.spec.name ?? "");
  };
  await stopGenerators(fleet);
  await Promise.all([...fleet.machines.values()].map((machine) => stop(machine.agent, agentMs)));
  fleet.connection?.close();
  await stop(fleet.server, serverMs);
  await fleet.sink?.close();
  await fleet.postgres?.stop();
  if (forced.length > 0) {
    throw refused(
      `These did not end cleanly: ${forced.join(", ")}`,
      `Their logs are in ${fleet.layout.logs}`,
    );
  }
  return `everything ended by itself in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
}
