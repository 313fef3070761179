import type { V1NetworkPolicy } from "@kubernetes/client-node";
import { exitCodes, Failure } from "../failure.ts";
import { clean } from "../output/text.ts";
import type { Steps } from "../local/steps.ts";
import { deniedOf } from "./denied.ts";
import { gatherFacts } from "./gather-facts.ts";
import { keptFlags, lastingOf, notedSettings, type Noted } from "./lasting.ts";
import type { OnboardOptions, Ports, ResolvedOptions } from "./onboard.ts";
import type { Finding } from "./plan/finding.ts";
import { judge, type Facts } from "./plan/preflight.ts";
import { objectNames, parseEndpoint, serverAnnotation, type Endpoint } from "./plan/settings.ts";

/** A cluster that may be onboarded. */
export interface Checked {
  /** What was asked for, with what an earlier run was given where this one does not say. */
  readonly options: ResolvedOptions;
  readonly facts: Facts;
  readonly auditLog: string;
  /** As an earlier run knew it, else as the caller does. */
  readonly server: Endpoint;
  /** False where what was given before may not be seen: then nothing may be noted in its place. */
  readonly mayNote: boolean;
}

/** Reads and judges the cluster. Throws a failure with everything that is wrong, before anything is changed. */
export async function checkCluster(asked: OnboardOptions, ports: Ports, steps: Steps): Promise<Checked> {
  let read: { readonly noted: Noted; readonly options: ResolvedOptions; readonly facts: Facts } | undefined;
  await steps.run("cluster read", async () => {
    const noted = await notedIn(ports, asked.namespace);
    const place = { context: ports.kube.context, namespace: asked.namespace };
    const options = { ...asked, ...lastingOf(asked.given, noted, place) };
    read = { noted, options, facts: await gatherFacts(ports.kube, options.namespace, options) };
    return `context "${read.facts.context}" at ${ports.kube.server}`;
  });
  if (read === undefined) throw new Error("The step ended without facts");
  const { noted, options, facts } = read;
  const { findings, auditLog } = judge(facts, options);
  for (const finding of [...judgeNoted(noted, options), ...findings]) {
    ports.screen.talk(findingLine(finding));
  }
  // Whoever prints manifests may have somebody else apply them.
  const mayPass = options.print && facts.clusterUid !== "";
  const stops = findings.filter(
    ({ level, check }) => level === "stop" && !(mayPass && check === "permissions"),
  );
  if (stops.length > 0 || auditLog === undefined) {
    const count = stops.length === 1 ? "a check" : `${stops.length} checks`;
    const names = stops.map(({ check, detail }) => `${check}: ${clean(detail)}`).join("\n  ");
    const said = `Nothing was changed, because ${count} did not pass:\n  ${names}`;
    throw new Failure(
      exitCodes.refused,
      said,
      stops.flatMap(({ next }) => next),
    );
  }
  const server = await serverOf(options, ports, facts);
  return { options, facts, auditLog, server, mayNote: noted !== "not seen" };
}

/** Who may not read the DaemonSet may not onboard either, and is told by the check of permissions; but may print. */
async function notedIn({ kube }: Ports, namespace: string): Promise<Noted> {
  const read = { verb: "get", group: "apps", resource: "daemonsets", namespace, isOptional: false };
  const [denied] = await deniedOf(kube, [read]);
  return denied === undefined ? notedSettings(kube, namespace) : "not seen";
}

function judgeNoted(noted: Noted, options: ResolvedOptions): readonly Finding[] {
  const check = "settings of before";
  const kept = keptFlags(options.given, options, noted);
  if (kept.length > 0) return [{ check, level: "ok", detail: `kept: ${kept.join("; ")}`, next: [] }];
  const detail = unknownText(noted);
  return detail === undefined ? [] : [{ check, level: "warning", detail, next: [] }];
}

function unknownText(noted: Noted): string | undefined {
  const flags = "(--destination, --server-network, --run-as-user, --allow-response, ...)";
  if (noted === "unknown") {
    return `not known, because no fleetctl noted them: what is not given again now ${flags} ends`;
  }
  if (noted === "not seen") {
    return `not seen, because the kubeconfig's user may not read the DaemonSet: what agents were given before ${flags} is not in what is printed, give it again; what was noted of it stays as it is`;
  }
  return undefined;
}

function findingLine({ check, level, detail }: Finding): string {
  const word = { ok: "ok  ", warning: "warn", stop: "FAIL" }[level];
  // As wide as a step with its seconds: see steps.ts.
  return `${word} ${check.padEnd(40)}${clean(detail)}\n`;
}

/** From the policy of an earlier run, which had it from a join string. */
async function serverOf(
  { namespace }: OnboardOptions,
  { kube, server }: Ports,
  facts: Facts,
): Promise<Endpoint> {
  if (facts.namespace === undefined) return server;
  const policy = await kube.find<V1NetworkPolicy>(
    "networking.k8s.io/v1",
    "NetworkPolicy",
    objectNames.agent,
    namespace,
  );
  return parseEndpoint(policy?.metadata?.annotations?.[serverAnnotation] ?? "") ?? server;
}
