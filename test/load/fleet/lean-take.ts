import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";

import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { SyncResponse } from "#proto/agent/v1/agent";
import {
  checkTarget,
  raiseGeneration,
  updateTrusted,
  verifyAssignment,
  type Checked,
  type TargetRef,
  type Trusted,
} from "#trust";

import { bytesOf, newSimState, type SimIdentity, type SimState } from "../../support/sim-agent.ts";

function must<T>(checked: Checked<T>): T {
  if (checked.ok) return checked.value;
  throw new Error(`${checked.refusal.code}: ${checked.refusal.message}`);
}

let empty: SimState | undefined;

/** What an agent knows when it has just been enrolled. All agents of a process read the same root, once. */
export function leanState(identity: SimIdentity): SimState {
  empty ??= newSimState(identity);
  return { ...empty, labels: identity.labels, running: new Map(), attempts: new Map() };
}

/** Metadata that was verified once in this process, by what was known before and what came. */
const verified = new WeakMap<Trusted, Map<string, Trusted>>();

/** Packed bundles that were unpacked and hashed in this process, by the SHA-256 of what is in them: bytes that are the same hold the same. */
const hashed = new Map<string, Uint8Array>();

/**
 * Takes an answer in as an agent has to. What is the same for all agents of a process, the metadata of the fleet and what is in a packed bundle,
 * is verified by the first of them; the signature of each assignment, the bytes of each packed bundle and the hash of each fetched one by every one.
 */
export async function takeLean(
  { org, clusterId, labels }: SimIdentity,
  state: SimState,
  fetch: (digest: string) => Promise<Uint8Array>,
  response: SyncResponse,
): Promise<boolean> {
  state.labels = response.labels === undefined ? state.labels : { ...labels, ...response.labels.labels };
  if (response.metadata.length > 0) state.trusted = metadataOf(state.trusted, response);
  if (response.assignment === undefined) return false;
  const context = { org, clusterId, now: new Date() };
  const assignment = must(verifyAssignment(state.trusted, response.assignment, context));
  state.trusted = raiseGeneration(state.trusted, assignment.generation);
  state.observedGeneration = BigInt(assignment.generation);
  for (const target of assignment.targets) {
    must(checkTarget(state.trusted, target, new Date()));
    const { kind, sha256 } = target;
    if (state.running.get(kind)?.sha256 === sha256) continue;
    const digest = `sha256:${sha256}`;
    const enclosed = response.bundles.find((bundle) => bundle.digest === digest);
    if (enclosed === undefined) checkBytes(await fetch(digest), target);
    else checkPacked(enclosed.gzip, target);
    state.running.set(kind, { sha256, sinceMs: Date.now() });
    const at = timestampFromMs(Date.now());
    const generation = state.observedGeneration;
    state.attempts.set(kind, { digest: bytesOf(sha256), generation, phase: "applied", reason: "", at });
  }
  return true;
}

function checkPacked(packed: Uint8Array, target: TargetRef): void {
  const known = hashed.get(target.sha256);
  if (known !== undefined && Buffer.compare(known, packed) === 0) return;
  checkBytes(unpack(packed, target.length), target);
  hashed.set(target.sha256, packed);
}

function checkBytes(bytes: Uint8Array, { sha256, length }: TargetRef): void {
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found !== sha256 || bytes.length !== length) throw new Error(`The bundle has hash ${found}`);
}

/** In one piece: a byte more than will come saves it a look for more room. */
function unpack(packed: Uint8Array, length: number): Buffer {
  return gunzipSync(packed, { chunkSize: Math.max(64, length + 1), maxOutputLength: length });
}

function metadataOf(before: Trusted, { metadata }: SyncResponse): Trusted {
  const hash = createHash("sha256");
  for (const { role, body } of metadata) hash.update(role).update(body);
  const key = hash.digest("hex");
  const known = verified.get(before) ?? new Map<string, Trusted>();
  verified.set(before, known);
  const of = (role: string) => metadata.filter((each) => each.role === role).map(({ body }) => body);
  const newest = (role: string) => {
    const body = of(role).at(-1);
    return body === undefined ? {} : { [role]: body };
  };
  const update = { roots: of("root"), ...newest("timestamp"), ...newest("snapshot"), ...newest("targets") };
  const after = known.get(key) ?? must(updateTrusted(before, update, new Date()));
  known.set(key, after);
  return after;
}
