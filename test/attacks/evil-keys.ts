import {
  assignmentType,
  buildBundle,
  generateKey,
  newRoot,
  newSnapshot,
  newTargets,
  newTimestamp,
  preAuthEncoding,
  readRoot,
  rootSpecOf,
  signAssignment,
  signEnvelope,
  signMetadata,
} from "#trust";
import type {
  Assignment,
  BuiltBundle,
  Bundle,
  Envelope,
  RootSpec,
  Signer,
  SigningKey,
  TargetRef,
} from "#trust";
import { makeRoot, newKeys, valueOf } from "../../trust/fixture.ts";

/** What the attacker holds: every key that a server has. */
export interface OnlineKeys {
  readonly snapshot: SigningKey;
  readonly timestamp: SigningKey;
  readonly assignment: SigningKey;
}

/** What the attacker does not hold: two of three people have to sign. */
export interface People {
  readonly root: readonly SigningKey[];
  readonly targets: readonly SigningKey[];
}

/** The metadata that is published, as bytes. */
export interface Published {
  readonly root: Uint8Array;
  readonly targets: Uint8Array;
  readonly snapshot: Uint8Array;
  readonly timestamp: Uint8Array;
}

export const org = "default";
export const threshold = 2;

export function newOnline(): OnlineKeys {
  return { snapshot: generateKey(), timestamp: generateKey(), assignment: generateKey() };
}

export function newPeople(): People {
  const { root, targets } = newKeys({ root: 3, targets: 3 });
  return { root, targets };
}

/** As many people as have to agree. */
export function quorum(keys: readonly SigningKey[]): readonly SigningKey[] {
  return keys.slice(0, threshold);
}

export function firstRoot(people: People, online: OnlineKeys): Promise<Uint8Array> {
  const { snapshot, timestamp, assignment } = online;
  const keys = { ...people, snapshot: [snapshot], timestamp: [timestamp], assignment: [assignment] };
  const thresholds = { root: threshold, targets: threshold };
  return makeRoot(keys, new Date(), { org, thresholds, signers: quorum(people.root) });
}

/** The root after this one, changed as wanted, signed by whoever signs. */
export async function nextRoot(
  root: Uint8Array,
  signers: readonly Signer[],
  change: (spec: RootSpec) => Partial<RootSpec> = () => ({}),
): Promise<Uint8Array> {
  const spec = rootSpecOf(valueOf(readRoot(root)), new Date());
  return sign(valueOf(newRoot({ ...spec, ...change(spec) })), signers);
}

export async function sign(bytes: Uint8Array, signers: readonly Signer[]): Promise<Uint8Array> {
  return Uint8Array.from(valueOf(await signMetadata(bytes, signers)));
}

export async function release(
  previous: Uint8Array | undefined,
  add: readonly BuiltBundle[],
  signers: readonly Signer[],
): Promise<Uint8Array> {
  return sign(valueOf(newTargets(previous, { add, now: new Date() })), signers);
}

export interface OnlineTimes {
  readonly version: number;
  /** Lists of layers that the snapshot pins, by the layer's name. */
  readonly lists?: ReadonlyMap<string, Uint8Array>;
  readonly snapshotVersion?: number;
  readonly now?: Date;
  readonly lifetimeMs?: number;
}

/** Snapshot and timestamp over some targets: what an attacker can sign without asking anybody. */
export async function refresh(
  online: OnlineKeys,
  targets: Uint8Array,
  { version, lists, snapshotVersion = version, now = new Date(), lifetimeMs }: OnlineTimes,
): Promise<Pick<Published, "snapshot" | "timestamp">> {
  const life = lifetimeMs === undefined ? {} : { lifetimeMs };
  const unsigned = valueOf(newSnapshot(targets, { version: snapshotVersion, now }, lists));
  const snapshot = await sign(unsigned, [online.snapshot]);
  const timestamp = await sign(valueOf(newTimestamp(snapshot, { version, now, ...life })), [
    online.timestamp,
  ]);
  return { snapshot, timestamp };
}

/** An assignment, signed with the key that has the right to assign. */
export function assign(
  online: Pick<OnlineKeys, "assignment">,
  clusterId: string,
  generation: number,
  targets: readonly TargetRef[],
  change: Partial<Assignment> = {},
): Promise<Envelope> {
  const second = Math.floor(Date.now() / 1_000) * 1_000;
  const [notBefore, expires] = [new Date(second - 60_000), new Date(second + 3_600_000)];
  const assignment = { org, clusterId, generation, targets, notBefore, expires, ...change };
  return signAssignment(assignment, online.assignment);
}

/** An assignment whose payload is changed as JSON before it is signed, validly. */
export async function assignRaw(
  envelope: Envelope,
  signer: Signer,
  change: (json: Record<string, unknown>) => unknown,
  type: string = assignmentType,
): Promise<Envelope> {
  const json = JSON.parse(Buffer.from(envelope.payload).toString()) as Record<string, unknown>;
  return signEnvelope(type, Buffer.from(JSON.stringify(change(json))), [signer]);
}

/** A signature over the bare payload, without the type that protects it. */
export async function withoutType(envelope: Envelope, signer: Signer): Promise<Envelope> {
  const bare = preAuthEncoding("", envelope.payload);
  const signature = await signer.sign(bare);
  return { ...envelope, signatures: [{ keyId: signer.publicKey.keyId, signature }] };
}

export function bundleOf(
  kind: Bundle["kind"],
  name: string,
  version: string,
  content: string,
  change: Partial<Bundle> = {},
): BuiltBundle {
  const path = kind === "rules" ? "rules.yaml" : "fluent-bit.conf";
  const files = [{ path, content }];
  return valueOf(buildBundle({ org, kind, name, version, files, layers: [], ...change }));
}
