import { once } from "node:events";
import { renameSync, statSync } from "node:fs";
import { AlertService } from "#proto/fleet/v1/alert";
import type { Screen } from "../screen.ts";
import { part } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";

const alertsShown = 8;
const alertsMs = 30_000;
const rotateMs = 10_000;
/** More than all audit logs of a cluster together, so that what is in them is in the outputs, too. */
const outputBytesMax = 64 * 1024 * 1024;

/** Shows the first alerts as they arrive, says what to try next, and waits for Ctrl-C. */
export async function stayUp(fleet: Fleet, screen: Pick<Screen, "out">): Promise<void> {
  const { signal } = fleet;
  screen.out("\nAlerts as they arrive:\n");
  await showAlerts(fleet, screen);
  if (signal.aborted) return;
  const cluster = fleet.plan.clusters[0]?.name ?? "";
  const { port } = fleet.plan;
  screen.out(`
The console: https://127.0.0.1:${port}
  Your browser does not know the fleet's own CA (${fleet.layout.server}/ca/ca.crt): it warns once, and is right
  to. Go on to 127.0.0.1, or import the file as an authority. To sign in, paste what this prints:
  npx fleetctl token api create console --role admin --ttl 12h

The fleet runs. In another terminal, in this directory, try:
  npx fleetctl cluster list                      health, rates and proofs of every cluster
  npx fleetctl cluster show ${cluster.padEnd(20)} its agents, what they run and what they tried
  npx fleetctl top                               events, alerts and lag, live
  npx fleetctl alerts tail                       alerts, live
  npx fleetctl rollout rules --region us --dry-run   what a rollout would do
  npx fleetctl rollout list                      then: fleetctl rollout undo ID
Everything is in ${fleet.layout.root}. Ctrl-C ends it; the next start goes on from there.
`);
  const rotation = setInterval(() => rotateOutputs(fleet), rotateMs);
  if (!signal.aborted) await once(signal, "abort");
  clearInterval(rotation);
}

/** What logrotate does on a server: keeps one older file per cluster. The agents go on in a new one by themselves. */
function rotateOutputs(fleet: Fleet): void {
  for (const { name } of fleet.plan.clusters) {
    const { events } = fleet.layout.cluster(name);
    const size = statSync(events, { throwIfNoEntry: false })?.size ?? 0;
    if (size > outputBytesMax) renameSync(events, `${events}.1`);
  }
}

async function showAlerts(fleet: Fleet, screen: Pick<Screen, "out">): Promise<void> {
  const { signal } = fleet;
  const client = part(fleet, "connection").client(AlertService);
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(alertsMs)]);
  let shown = 0;
  try {
    for await (const { alerts } of client.tailAlerts({}, { signal: bounded, timeoutMs: 0 })) {
      for (const alert of alerts.slice(0, alertsShown - shown)) {
        screen.out(`  ${alert.clusterName.padEnd(8)} ${alert.priority.padEnd(13)} ${alert.rule}\n`);
        shown += 1;
      }
      if (shown >= alertsShown) return;
    }
  } catch (error) {
    if (!bounded.aborted) throw error;
    if (shown === 0 && !signal.aborted) screen.out(`  none within ${alertsMs / 1000} s\n`);
  }
}
