import { spawn } from "node:child_process";
import { BundleKind, Requirement_Operator } from "#proto/fleet/v1/common";
import { RolloutService, RolloutState } from "#proto/fleet/v1/rollout";
import type { Rollout } from "#proto/fleet/v1/rollout";
import { refused } from "../failure.ts";
import { programArgs } from "../programs.ts";
import { provedDigest, readClusters } from "./clusters.ts";
import { part, untilIn } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";

const proveMs = 60_000;
const resting: readonly RolloutState[] = [
  RolloutState.SUCCEEDED,
  RolloutState.PAUSED,
  RolloutState.ABORTED,
  RolloutState.ROLLED_BACK,
];

/** What to roll out to which clusters, all in one wave. */
export interface QuickRollout {
  readonly kind: BundleKind;
  readonly bundle: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Rolls a bundle out and waits until the rollout rests. */
export async function rollOut(fleet: Fleet, quick: QuickRollout): Promise<Rollout> {
  const client = part(fleet, "connection").client(RolloutService);
  const requirements = Object.entries(quick.labels ?? {}).map(([key, value]) => ({
    key,
    operator: Requirement_Operator.IN,
    values: [value],
  }));
  const spec = {
    kind: quick.kind,
    bundle: quick.bundle,
    selector: { requirements },
    canary: fleet.plan.clusters.length,
    deadlineSeconds: 60,
    // Which of its two releases the local fleet had last is chance; going back to the first loses what the second added.
    allowCoverageLoss: true,
  };
  const { rollout } = await client.startRollout({ spec });
  const id = rollout?.id ?? "";
  return untilIn(fleet, `the rollout ${id} to come to rest`, proveMs, async () => {
    const { rollout: now } = await client.getRollout({ rolloutId: id });
    if (now === undefined) return { seen: "no rollout" };
    return resting.includes(now.state) ? { done: now } : { seen: now.because };
  });
}

/** Brings every cluster to a bundle, unless all prove it already, and says what was proved. */
export async function bringAllTo(
  fleet: Fleet,
  kind: BundleKind,
  bundle: string,
  digest: string,
): Promise<string> {
  const clusters = await readClusters(fleet);
  const behind = [...clusters.values()].filter((c) => provedDigest(c, kind) === "");
  if (behind.length > 0) {
    const rollout = await rollOut(fleet, { kind, bundle });
    if (rollout.state !== RolloutState.SUCCEEDED) {
      throw refused(
        `The rollout of ${bundle} did not succeed: ${rollout.because}`,
        `fleetctl rollout show ${rollout.id}`,
      );
    }
  }
  return untilIn(fleet, `all clusters to prove ${bundle}`, proveMs, async () => {
    const now = [...(await readClusters(fleet)).values()];
    const proving = now.filter((c) =>
      behind.length > 0 ? provedDigest(c, kind) === digest : provedDigest(c, kind) !== "",
    );
    return proving.length === fleet.plan.clusters.length
      ? { done: `${bundle} ${short(digest)} proved by ${proving.length} of ${now.length}` }
      : { seen: `${proving.length} of ${now.length} prove it` };
  });
}

/** Runs a fleetctl command in front of the user, as the user would. */
export function runFleetctl(fleet: Fleet, args: readonly string[], toStderr: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...programArgs("fleetctl"), ...args], {
      stdio: ["ignore", toStderr ? 2 : 1, 2],
      env: { ...process.env, FLEETCTL_CONTEXT: "local" },
    });
    const stop = () => child.kill("SIGTERM");
    fleet.signal.addEventListener("abort", stop, { once: true });
    child.once("error", reject);
    child.once("exit", (code) => {
      fleet.signal.removeEventListener("abort", stop);
      if (code === 0) resolve();
      else {
        reject(refused(`fleetctl ${args.join(" ")} ended with exit code ${code}`, `fleetctl rollout list`));
      }
    });
  });
}

/** The first twelve digits of a digest, enough for a person. */
export function short(digest: string): string {
  return digest.replace("sha256:", "").slice(0, 12);
}

/**
 * `fleetctl rollout rules --region R` with the digests before and after: exactly that region's clusters changed.
 */
export async function rollOutRegion(
  fleet: Fleet,
  region: string,
  bundle: string,
  digest: string,
  toStderr: boolean,
): Promise<string> {
  const before = await readClusters(fleet);
  const isBack = bundle === part(fleet, "bundles").names.rulesBefore;
  const command = ["rollout", "rules", "--region", region, "--bundle", bundle, "--watch"];
  await runFleetctl(fleet, [...command, ...(isBack ? ["--allow-coverage-loss"] : [])], toStderr);
  const after = await readClusters(fleet);
  const wrong = fleet.plan.clusters.filter((c) => {
    const expected = c.region === region ? digest : provedDigest(before.get(c.name), BundleKind.RULES);
    return provedDigest(after.get(c.name), BundleKind.RULES) !== expected;
  });
  if (wrong.length > 0) {
    throw refused(
      `After the rollout these clusters do not prove what they should: ${wrong.map((c) => `${c.name} proves ${short(provedDigest(after.get(c.name), BundleKind.RULES))}`).join(", ")}`,
    );
  }
  const changed = fleet.plan.clusters.filter(
    (c) =>
      provedDigest(before.get(c.name), BundleKind.RULES) !==
      provedDigest(after.get(c.name), BundleKind.RULES),
  );
  const kept = fleet.plan.clusters.length - changed.length;
  return `${bundle} ${short(digest)} proved by ${changed.map((c) => c.name).join(", ")}; the other ${kept} unchanged`;
}
