import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { equals } from "@bufbuild/protobuf";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import type { Envelope } from "#proto/agent/v1/agent";
import { layerOfPath } from "#trust";
import type { Checked } from "#trust";
import type { BundleStore } from "./bundles.ts";
import { encodeComposition } from "./composition.ts";
import type { LayerPart } from "./composition.ts";
import type { Candidate, Part } from "./domain/apply-plan.ts";
import type { AgentConnection } from "./link/clients.ts";
import type { BundleSource } from "./pipeline/load-bundle.ts";
import type { TrustStore } from "./trust-store.ts";

/** The rules that run, which a candidate is put together with: the layers of teams on them, and where the files lie. */
export interface RunningRules {
  readonly base: Part;
  /** Those that the worker proved. */
  readonly layers: readonly LayerPart[];
  readonly pathOf: (sha256: string) => string;
}

/** What everything needs that works with a candidate: a bundle, or a layer, that the cluster does not run. */
export interface CandidatePorts {
  readonly trust: Pick<TrustStore, "checkTarget" | "checkLayer">;
  /** Undefined while no rules run. */
  readonly rules: () => RunningRules | undefined;
  readonly labels: () => Readonly<Record<string, string>>;
  /** A store of its own: what applies bundles, and other work with candidates, knows nothing of it. */
  readonly candidates: BundleStore;
  readonly client: () => AgentConnection["client"] | undefined;
  readonly org: string;
  /** Told when there is more to report. */
  readonly onChange: () => void;
  readonly log: Logger;
  /** Ends it, with its timers and threads. */
  readonly signal: AbortSignal;
}

/** Why something is not done, or not yet: a stable code and a sentence. */
export interface Problem {
  readonly reason: string;
  readonly detail: string;
}

const idCharsMax = 100;

/** What an offer asks for: "nothing", that what goes on is ended, or that the work of this id begins. */
export function offered(
  id: string | undefined,
  current: string | undefined,
): "nothing" | "end" | { id: string } {
  if (id === undefined) return "nothing";
  if (id === "") return "end";
  const cut = id.slice(0, idCharsMax);
  return cut === current ? "nothing" : { id: cut };
}

/** The order that came with an offer, when it verifies and is about the same. */
export function readOrder<O>(
  what: string,
  id: string,
  envelope: Envelope | undefined,
  verify: (envelope: Envelope) => Checked<O>,
  idOf: (order: O) => string,
): { readonly order: O } | Problem {
  if (envelope === undefined) return { reason: "trust/malformed", detail: "it came without order" };
  const order = verify(envelope);
  if (!order.ok) return { reason: order.refusal.code, detail: order.refusal.message };
  if (idOf(order.value) === id) return { order: order.value };
  return { reason: "trust/malformed", detail: `The order is for another ${what} than the offer` };
}

/**
 * Fetches a candidate, if the metadata that is held lists it, and puts it together with what runs: a bundle with the layers that
 * teams have on the rules here, a layer with those rules and the other layers. Rejects as the store does when it cannot be had now.
 */
export async function fetchCandidate(
  ports: CandidatePorts,
  target: Candidate,
  signal: AbortSignal,
): Promise<{ readonly candidate: BundleSource } | Problem> {
  const { candidates, trust } = ports;
  const running = ports.rules();
  if (target.kind === "layer") return fetchLayer(ports, target, running, signal);
  const listed = trust.checkTarget(target);
  if (!listed.ok) return { reason: listed.refusal.code, detail: listed.refusal.message };
  const path = await candidates.stage(target, ports.client(), signal);
  const released = { org: ports.org, path: target.path };
  if (running === undefined || running.layers.length === 0) {
    await candidates.prune([target.sha256]);
    return { candidate: { path, digest: `sha256:${target.sha256}`, released } };
  }
  return { candidate: { ...(await compose(candidates, running, target, running.layers)), released } };
}

async function fetchLayer(
  { candidates, trust, client, labels }: CandidatePorts,
  target: Part,
  running: RunningRules | undefined,
  signal: AbortSignal,
): Promise<{ readonly candidate: BundleSource } | Problem> {
  const checked = trust.checkLayer(target, labels());
  if (!checked.ok) return { reason: checked.refusal.code, detail: checked.refusal.message };
  if (running === undefined) {
    return { reason: "layer/nothing-runs", detail: "No rules run here that the layer could be put on" };
  }
  await candidates.stage(target, client(), signal);
  const { layer: name, authority: _authority, ...terms } = checked.value;
  const { path, length, sha256 } = target;
  const others = running.layers.filter((each) => layerOfPath(each.path) !== name);
  const tried = { path, length, sha256, terms };
  const whole = await compose(candidates, running, running.base, [...others, tried]);
  return { candidate: { ...whole, needs: `sha256:${sha256}` } };
}

/** Writes the composition down beside its parts; those that run are copied to where candidates lie. */
async function compose(
  candidates: BundleStore,
  running: RunningRules,
  base: Part,
  layers: readonly LayerPart[],
): Promise<BundleSource> {
  const own = new Set([running.base, ...running.layers].map(({ sha256 }) => sha256));
  for (const { sha256 } of [base, ...layers]) {
    if (own.has(sha256)) await candidates.keep(sha256, await readFile(running.pathOf(sha256)));
  }
  const text = encodeComposition({ base, layers });
  const sha256 = createHash("sha256").update(text).digest("hex");
  await candidates.keep(sha256, text);
  await candidates.prune([sha256, base.sha256, ...layers.map((layer) => layer.sha256)]);
  return { path: candidates.pathOf(sha256), digest: `sha256:${sha256}` };
}

/** More than this of a sentence is cut in reports. */
export const detailCharsMax = 1_000;

/** What is reported, with a version that grows with every change. */
export interface Reported<D extends DescMessage> {
  version: number;
  report: MessageShape<D>;
}

/** Takes a report in; false when it says what the one before said. */
export function takeReport<D extends DescMessage>(
  schema: D,
  own: Reported<D>,
  next: MessageShape<D>,
): boolean {
  if (own.version > 0 && equals(schema, own.report, next)) return false;
  own.report = next;
  own.version += 1;
  return true;
}
