import type { V1DaemonSet, V1Service } from "@kubernetes/client-node";
import type { Kube } from "./kube.ts";
import { falcoNames, falcosNoted } from "./plan/falco.ts";
import { fluentBitsNoted } from "./plan/fluent-bit.ts";
import type { Facts, ProgramFacts } from "./plan/preflight.ts";
import type { PlacesBefore, ProgramPlace } from "./plan/settings.ts";

/** What was not looked for is no reason to stop; the permission that is missing is one. */
export async function programsFacts(
  kube: Kube,
  { falco, fluentBit }: Readonly<Record<"falco" | "fluentBit", ProgramPlace | undefined>>,
  maySee: boolean,
): Promise<Pick<Facts, "falco" | "fluentBit">> {
  return {
    ...(falco === undefined ? {} : { falco: await programFacts(kube, falco, maySee) }),
    ...(fluentBit === undefined ? {} : { fluentBit: await programFacts(kube, fluentBit, maySee) }),
  };
}

/** Where onboarding made something for programs, now or before. */
export async function placesNoted(kube: Kube, namespace: string): Promise<PlacesBefore> {
  const alerts = await kube.find<V1Service>("v1", "Service", falcoNames.alerts, namespace);
  if (alerts === undefined) return { falco: [], fluentBit: [] };
  return { falco: falcosNoted(alerts), fluentBit: fluentBitsNoted(alerts) };
}

async function programFacts(kube: Kube, place: ProgramPlace, maySee: boolean): Promise<ProgramFacts> {
  if (!maySee) return { place, daemonSet: "not looked for" };
  const daemonSet = await kube.find<V1DaemonSet>("apps/v1", "DaemonSet", place.daemonSet, place.namespace);
  const { matchLabels = {}, matchExpressions = [] } = daemonSet?.spec?.selector ?? {};
  const byLabels = matchExpressions.length === 0 && Object.keys(matchLabels).length > 0;
  return { place: { ...place, ...(byLabels ? { selector: matchLabels } : {}) }, daemonSet };
}
