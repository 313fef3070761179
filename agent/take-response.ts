import type { Logger } from "pino";
import type { EnclosedBundle, SyncResponse } from "#proto/agent/v1/agent";
import type { AuditHeadStore } from "./audit-head.ts";
import { problemOf } from "./agent-error.ts";
import type { BundleStore } from "./bundles.ts";
import type { Conditions } from "./conditions.ts";
import { spkiPin } from "#trust";
import type { CurrentStore } from "./current.ts";
import type { Assignment } from "./domain/apply-plan.ts";
import type { AuditStep } from "#trust";
import type { TrustStore } from "./trust-store.ts";

/** What an answer of the server is taken into. */
export interface ResponsePorts {
  readonly current: CurrentStore;
  readonly trust: TrustStore;
  /** The version of the list of CAs that the agent holds. */
  readonly caVersion: () => number;
  /** Trusts these CAs from now on, and no others. Durable when it answers. */
  readonly setCas: (version: number, cas: readonly Uint8Array[]) => void;
  readonly auditHead: AuditHeadStore;
  readonly bundles: Pick<BundleStore, "enclose">;
  readonly conditions: Conditions;
  readonly log: Logger;
}

/** The greatest difference of clocks that is worth no word, in milliseconds. */
const skewMsMax = 300_000;
const labelsMax = 64;
const labelCharsMax = 256;

/** What changed that others have to hear of. */
export interface Taken {
  readonly labelsChanged: boolean;
  /** Another generation of the same targets: nothing is applied for it, so nobody else would report it. */
  readonly generationChanged: boolean;
  /** The generation of an assignment that came and is held now; undefined when none came, or it was refused. */
  readonly assigned: number | undefined;
}

/**
 * Takes metadata, then assignment, then labels in, each only as far as it verifies. Nothing here can stop what runs: a
 * refusal raises a condition that names it.
 */
export function takeResponse(response: SyncResponse, ports: ResponsePorts): Taken {
  const now = new Date();
  noteSkew(response, ports.conditions, now);
  try {
    const taken = takeParts(response, ports, now);
    ports.conditions.clear(notStored);
    return taken;
  } catch (error) {
    // The disk, most likely. The session goes on, and the server offers again what was not taken.
    const { code, message } = problemOf(error, "state/not-stored");
    const text = `What the server sent cannot be stored: ${code}: ${message}`;
    if (ports.conditions.raise(notStored, text)) ports.log.error({ err: error }, text);
    return { labelsChanged: false, generationChanged: false, assigned: undefined };
  }
}

const notStored = "state/not-stored";

function takeParts(response: SyncResponse, ports: ResponsePorts, now: Date): Taken {
  const before = ports.current.get().assignment;
  let assigned: number | undefined;
  if (response.metadata.length > 0) {
    const updated = ports.trust.update(response.metadata, now);
    report(ports, "metadata", updated);
    forgetGeneration(ports);
  }
  if (response.assignment !== undefined) {
    const accepted = ports.trust.accept(response.assignment, now);
    report(ports, "assignment", accepted);
    if (accepted.ok) {
      ports.bundles.enclose(namedBy(accepted.value, response.bundles));
      ports.current.set({ ...ports.current.get(), assignment: accepted.value });
    }
    assigned = accepted.ok ? accepted.value.generation : undefined;
  }
  takeCas(response, ports, now);
  const after = ports.current.get().assignment;
  const generationChanged =
    before !== undefined &&
    after !== undefined &&
    before.generation !== after.generation &&
    JSON.stringify([before.targets, before.layers]) === JSON.stringify([after.targets, after.layers]);
  takeAudit(response, ports);
  return { labelsChanged: takeLabels(response, ports), generationChanged, assigned };
}

/** What came with an assignment and belongs to it, each once. */
function namedBy(
  { targets, layers = [] }: Assignment,
  bundles: readonly EnclosedBundle[],
): readonly EnclosedBundle[] {
  return [...targets, ...layers].flatMap(
    ({ sha256 }) => bundles.find(({ digest }) => digest === `sha256:${sha256}`) ?? [],
  );
}

/**
 * A root with another assignment key clears the floor. What the former key assigned goes on running, but its generation
 * is no longer the newest that was seen: else a thief who raised it would keep every later assignment away.
 */
function forgetGeneration({ current, trust }: ResponsePorts): void {
  const { assignment } = current.get();
  const generation = trust.generationFloor();
  if (assignment === undefined || assignment.generation <= generation) return;
  current.set({ ...current.get(), assignment: { ...assignment, generation } });
}

/** After the metadata, which may bring the key that signed it. */
function takeAudit({ audit }: SyncResponse, ports: ResponsePorts): void {
  if (audit === undefined) return;
  const taken = ports.auditHead.take(audit, ports.trust.held());
  report(ports, "audit", taken);
  if (!taken.ok) return;
  const held = ports.auditHead.get()?.head;
  const known = held === undefined ? "" : `row ${held.sequence} with hash ${held.hash.slice(0, 12)}`;
  const why = auditWords[taken.value];
  if (why === undefined) {
    if (taken.value !== "older") ports.conditions.clear("audit/rewritten");
    return;
  }
  const text = `The server's audit log ${why}; this agent holds ${known} and keeps it as evidence: run fleetctl audit verify`;
  if (ports.conditions.raise("audit/rewritten", text)) ports.log.error({ step: taken.value }, text);
}

/** What is wrong with a log, in words; nothing for those that go on. */
const auditWords: { readonly [S in AuditStep]?: string } = {
  "went-back": "went back: it ends before a row that the server signed",
  forked: "was rewritten: it does not hold a row that the server signed",
  unproved: "is not proved to go on from the row that the server signed",
};

function takeCas(response: SyncResponse, ports: ResponsePorts, now: Date): void {
  if (response.caBundle === undefined) return;
  const held = ports.caVersion();
  const checked = ports.trust.checkCas(response.caBundle, held, now);
  report(ports, "ca-bundle", checked);
  if (!checked.ok || checked.value.version === held) return;
  const { version, cas } = checked.value;
  ports.setCas(version, cas);
  ports.log.info({ version, cas: cas.map(spkiPin) }, "the fleet's CAs changed");
}

type Result =
  | { readonly ok: true }
  | { readonly ok: false; readonly refusal: { readonly code: string; readonly message: string } };

function report(ports: ResponsePorts, what: string, result: Result): void {
  const condition = `${what}/refused`;
  if (result.ok) return ports.conditions.clear(condition);
  const { code, message } = result.refusal;
  // The server offers it with every answer; the first refusal says it all.
  if (!ports.conditions.raise(condition, `${code}: ${message}`)) return;
  ports.log.error({ code }, `${what} refused: ${message}`);
}

function takeLabels(response: SyncResponse, ports: ResponsePorts): boolean {
  if (response.labels === undefined) return false;
  const entries = Object.entries(response.labels.labels);
  const isLong = entries.some(([key, value]) => key.length > labelCharsMax || value.length > labelCharsMax);
  if (entries.length > labelsMax || isLong) {
    ports.conditions.raise(
      "labels/refused",
      `The server sent ${entries.length} labels; at most ${labelsMax} of at most ${labelCharsMax} characters are taken`,
    );
    return false;
  }
  ports.conditions.clear("labels/refused");
  const labels = Object.fromEntries(entries);
  const before = ports.current.get();
  if (JSON.stringify(sorted(before.labels)) === JSON.stringify(sorted(labels))) return false;
  ports.current.set({ ...before, labels });
  return true;
}

function sorted(labels: Readonly<Record<string, string>>): readonly (readonly [string, string])[] {
  return Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
}

function noteSkew(response: SyncResponse, conditions: Conditions, now: Date): void {
  if (response.serverTime === undefined) return;
  const skewMs = now.getTime() - Number(response.serverTime.seconds) * 1000;
  if (Math.abs(skewMs) < skewMsMax) return conditions.clear("clock/skew");
  const direction = skewMs > 0 ? "ahead of" : "behind";
  conditions.raise(
    "clock/skew",
    `The clock of this node is ${Math.round(Math.abs(skewMs) / 60_000)} min ${direction} the server's: expiry dates may be judged wrongly`,
  );
}
