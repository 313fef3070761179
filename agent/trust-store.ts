import { closeSync, fsyncSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import type { Envelope, Metadata } from "#proto/agent/v1/agent";
import {
  checkLayerTarget,
  checkTarget,
  decodeTrusted,
  encodeTrusted,
  raiseGeneration,
  standingDelegation,
  trustedAssigners,
  trustedLists,
  trustedLives,
  trustedVersions,
  updateTrusted,
  verifyAssignment,
  verifyBacktest,
  verifyShadow,
  verifyCaBundle,
} from "#trust";
import type { CaBundle, Checked, LayerDelegation, Trusted } from "#trust";
import { AgentError } from "./agent-error.ts";
import type { Assignment, Candidate, Part, Target } from "./domain/apply-plan.ts";

/** A verified order to evaluate a candidate beside what runs. */
export interface ShadowOrder {
  readonly rolloutId: string;
  readonly target: Candidate;
  readonly untilMs: number;
}

/** A verified order to replay the last events over a candidate. */
export interface BacktestOrder {
  readonly backtestId: string;
  readonly target: Candidate;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** When the replay has to be over. */
  readonly deadlineMs: number;
}

/** What the agent holds to be true about who may decide what; every floor is on disk before anything is done with it. */
export interface TrustStore {
  versions(): ReturnType<typeof trustedVersions>;
  lives(): ReturnType<typeof trustedLives>;
  /** Of the lists of layers, by the layer's name. */
  lists(): ReturnType<typeof trustedLists>;
  /** No assignment of a lower generation is accepted; 0 again after a root with another assignment key. */
  generationFloor(): number;
  /** Ids of the keys that sign assignments and lists of CAs. */
  assigners(): readonly string[];
  /** Takes in what can be verified; answers with the first refusal, if any. What was verified before it is kept. */
  update(metadata: readonly Metadata[], now: Date): Checked<unknown>;
  /** Verifies an assignment and raises the floor. */
  accept(envelope: Envelope, now: Date): Checked<Assignment>;
  /** Verifies the order to evaluate a candidate. */
  acceptShadow(envelope: Envelope, now: Date): Checked<ShadowOrder>;
  /** Verifies the order to replay the last events over one. */
  acceptBacktest(envelope: Envelope, now: Date): Checked<BacktestOrder>;
  /** Verifies a list of CAs; the version floor is the caller's, who keeps the list. */
  checkCas(envelope: Envelope, versionFloor: number, now: Date): Checked<CaBundle>;
  /** What everything above is judged by. */
  held(): Trusted;
  /** Whether the target may be started now. */
  checkTarget(target: Target): Checked<unknown>;
  /** Whether a release of a layer may be started now on a cluster with these labels, and what it may say. */
  checkLayer(layer: Part, labels: Labels): Checked<LayerDelegation>;
  /** Whether a layer that runs may go on; undefined when nobody can tell, and nobody took it back. */
  standing(layer: string, labels: Labels): Checked<LayerDelegation | undefined>;
}

type Labels = Readonly<Record<string, string>>;

export function openTrustStore(
  path: string,
  holder: { readonly org: string; readonly clusterId: string },
): TrustStore {
  let trusted = read(path);
  sweep(path);
  let facts = factsOf(trusted);
  const save = (next: Trusted) => {
    if (next === trusted) return;
    writeTrusted(path, next);
    trusted = next;
    facts = factsOf(next);
  };
  return {
    versions: () => facts.versions,
    lives: () => facts.lives,
    lists: () => facts.lists,
    generationFloor: () => trusted.generationFloor,
    assigners: () => facts.assigners,
    update(metadata, now) {
      const of = (role: string) => {
        const found = metadata.find((m) => m.role === role);
        return found === undefined ? {} : { [role]: found.body };
      };
      const roots = metadata.filter((m) => m.role === "root").map((m) => m.body);
      const layers = new Map(metadata.flatMap(({ role, body }) => listOf(role, body)));
      const update = { roots, ...of("timestamp"), ...of("snapshot"), ...of("targets"), layers };
      const result = updateTrusted(trusted, update, now);
      save(result.value);
      return result;
    },
    accept(envelope, now) {
      const verified = verifyAssignment(trusted, plain(envelope), { ...holder, now });
      if (!verified.ok) return verified;
      save(raiseGeneration(trusted, verified.value.generation));
      const { generation, targets, layers } = verified.value;
      return { ok: true, value: { generation, targets, ...(layers === undefined ? {} : { layers }) } };
    },
    acceptShadow(envelope, now) {
      const verified = verifyShadow(trusted, plain(envelope), { ...holder, now });
      if (!verified.ok) return verified;
      const { rolloutId, target, expires } = verified.value;
      return { ok: true, value: { rolloutId, target, untilMs: expires.getTime() } };
    },
    acceptBacktest(envelope, now) {
      return backtestOf(verifyBacktest(trusted, plain(envelope), { ...holder, now }));
    },
    checkCas(envelope, versionFloor, now) {
      const { org } = holder;
      return verifyCaBundle(trusted, plain(envelope), { org, versionFloor, now });
    },
    held: () => trusted,
    checkTarget: (target) => checkTarget(trusted, target, new Date()),
    checkLayer: (layer, labels) => checkLayerTarget(trusted, layer, labels, new Date()),
    standing: (layer, labels) => standingDelegation(trusted, layer, labels),
  };
}

/** What is asked for often: each answer checks every signature again. */
function factsOf(trusted: Trusted) {
  return {
    versions: trustedVersions(trusted),
    lives: trustedLives(trusted),
    lists: trustedLists(trusted),
    assigners: trustedAssigners(trusted),
  };
}

/** The list of a layer, by the layer's name; nothing for metadata of other roles. */
function listOf(role: string, body: Uint8Array): readonly (readonly [string, Uint8Array])[] {
  return role.startsWith("layer-") ? [[role.slice("layer-".length), body]] : [];
}

function backtestOf(verified: ReturnType<typeof verifyBacktest>): Checked<BacktestOrder> {
  if (!verified.ok) return verified;
  const { backtestId, target, since, until, expires } = verified.value;
  const times = { sinceMs: since.getTime(), untilMs: until.getTime(), deadlineMs: expires.getTime() };
  return { ok: true, value: { backtestId, target, ...times } };
}

/** The message without what its library adds. */
function plain({ payloadType, payload, signatures }: Envelope) {
  return {
    payloadType,
    payload,
    signatures: signatures.map(({ keyId, signature }) => ({ keyId, signature })),
  };
}

/** Stores trust for the first time, or anew. */
export function writeTrusted(path: string, trusted: Trusted): void {
  writeFileAtomic.sync(path, encodeTrusted(trusted), { mode: 0o600 });
  // The name is in the directory: without this a power cut could bring the old floors back.
  const directory = openSync(dirname(path), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** Removes what is left of writes during which the agent was killed. */
function sweep(path: string): void {
  const [dir, name] = [dirname(path), `${basename(path)}.`];
  for (const file of readdirSync(dir)) {
    if (file.startsWith(name) && /^\d+$/.test(file.slice(name.length))) rmSync(join(dir, file));
  }
}

function read(path: string): Trusted {
  const damaged = (why: string) =>
    new AgentError(
      "state/damaged",
      `${path} cannot be used: ${why}. Restore it, or remove the state directory and enrol again with a new token`,
    );
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === "ENOENT" ? damaged("it is missing") : error;
  }
  const decoded = decodeTrusted(text);
  if (decoded.ok) return decoded.value;
  throw damaged(decoded.refusal.message);
}
