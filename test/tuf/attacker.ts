import {
  emptyTrusted,
  newSnapshot,
  newTargets,
  newTimestamp,
  readRoot,
  signAssignment,
  signMetadata,
  type BuiltBundle,
  type Envelope,
  type SigningKey,
  type Trusted,
} from "#trust";
import { makeBundle, makeOnline, makeRoot, newKeys, valueOf, type Keys } from "../../trust/fixture.ts";
import type { Authorised } from "../../trust/root.ts";

export type Role = "root" | "timestamp" | "snapshot" | "targets";
export type Pool = Readonly<Record<Role, Uint8Array[]>>;

const thresholds = { root: 2, targets: 2 };
const counts = { root: 3, targets: 3 };
export const holder = { org: "default", clusterId: "c-1" };
export const newPool = (): Pool => ({ root: [], timestamp: [], snapshot: [], targets: [] });

/** The people and the server: two of three offline keys sign each release and each root. */
export class Fleet {
  readonly now: Date;
  readonly org: string;
  keys: Keys;
  /** Every document that was ever published, in order. */
  readonly published = newPool();
  readonly bundles: BuiltBundle[] = [];
  generation = 0;
  #online = 0;

  private constructor(now: Date, org: string) {
    this.now = now;
    this.org = org;
    this.keys = newKeys(counts);
  }

  static async begin(now: Date, org = holder.org): Promise<Fleet> {
    const fleet = new Fleet(now, org);
    fleet.published.root.push(await makeRoot(fleet.keys, now, { thresholds, org }));
    await fleet.release();
    return fleet;
  }

  joined(): Trusted {
    return valueOf(emptyTrusted(this.published.root[0]!));
  }

  async release(): Promise<void> {
    const bundle = makeBundle(`1.${this.bundles.length}.0`, "- rule: x\n", this.org);
    this.bundles.push(bundle);
    const before = this.published.targets.at(-1);
    const unsigned = valueOf(newTargets(before, { add: [bundle], now: this.now }));
    this.published.targets.push(valueOf(await signMetadata(unsigned, this.keys.targets.slice(0, 2))));
    await this.renew();
  }

  /** The server signs anew what it publishes. */
  async renew(): Promise<void> {
    this.#online += 1;
    const online = await makeOnline(this.keys, this.now, this.published.targets.at(-1)!, this.#online);
    this.published.snapshot.push(online.snapshot);
    this.published.timestamp.push(online.timestamp);
  }

  /** A root that replaces the keys of these roles, and what has to be signed anew for it. */
  async rotate(...roles: readonly Authorised[]): Promise<void> {
    const fresh = newKeys(counts);
    const next = { ...this.keys };
    for (const role of roles) next[role] = fresh[role];
    const version = this.published.root.length + 1;
    const signers = [...this.keys.root.slice(0, 2), ...next.root.slice(0, 2)];
    const { now, org } = this;
    this.published.root.push(await makeRoot(next, now, { version, thresholds, org, signers }));
    this.keys = next;
    if (roles.includes("assignment")) this.generation = 0;
    if (roles.includes("snapshot")) this.#online = 0; // As after a fast-forward: it begins again.
    if (roles.includes("targets")) {
      const unsigned = valueOf(newTargets(this.published.targets.at(-1), { add: [], now }));
      this.published.targets.push(valueOf(await signMetadata(unsigned, next.targets.slice(1))));
    }
    await this.renew();
  }

  async assign(): Promise<Envelope> {
    this.generation += 1;
    return assignment(this, this.keys.assignment, { ...holder, generation: this.generation });
  }
}

/** What an attacker wants to have run. */
export const evil = makeBundle("6.6.6", "- rule: evil\n");

/** Whose keys an attacker has: the server's always, and of the offline ones fewer than it takes. */
export interface Stolen {
  readonly root: 0 | 1;
  readonly targets: 0 | 1;
}

export interface Forgery {
  /** Added to what the fleet published last, or a version as it stands. */
  readonly version: { readonly by: number } | { readonly of: number };
  readonly expired: boolean;
  /** Which of the known documents it is over, from the newest one back. */
  readonly over: number;
}

/** The transport, the server's keys, and some offline ones. */
export class Attacker {
  readonly forged = newPool();
  readonly #fleet: Fleet;
  readonly #stolen: Stolen;
  readonly #own = newKeys(counts);

  constructor(fleet: Fleet, stolen: Stolen) {
    this.#fleet = fleet;
    this.#stolen = stolen;
  }

  #offline(role: "root" | "targets"): readonly SigningKey[] {
    return this.#fleet.keys[role].slice(0, this.#stolen[role]);
  }

  /** Everything he has seen or made, of one role. */
  known(role: Role): readonly Uint8Array[] {
    return [...this.#fleet.published[role], ...this.forged[role]];
  }

  #pick(role: Role, index: number): Uint8Array {
    const known = this.known(role);
    return known[known.length - 1 - (index % known.length)]!;
  }

  /** A version near the one that an agent holds, or far from it. */
  #version(role: Role, version: Forgery["version"]): number {
    if ("of" in version) return version.of;
    const last = JSON.parse(Buffer.from(this.#fleet.published[role].at(-1)!).toString()) as {
      signed: { version: number };
    };
    return Math.max(1, last.signed.version + version.by);
  }

  async forgeTargets({ version, expired }: Forgery): Promise<void> {
    const before = this.#fleet.published.targets.at(-1);
    const unsigned = valueOf(
      newTargets(before, { add: [evil], now: this.#fleet.now, lifetimeMs: expired ? -1000 : 86_400_000 }),
    );
    const text = Buffer.from(unsigned)
      .toString()
      .replace(/"version":\d+\}\}$/, `"version":${this.#version("targets", version)}}}`);
    const signers = [...this.#offline("targets"), ...this.#own.targets];
    this.forged.targets.push(valueOf(await signMetadata(Buffer.from(text), signers)));
  }

  /** By the server's own keys, so that only pins, versions and expiry are left to refuse it. */
  async forgeOnline({ version, expired, over }: Forgery): Promise<void> {
    const { keys, now } = this.#fleet;
    const lifetimeMs = expired ? -1000 : 3_600_000;
    const spec = { version: this.#version("snapshot", version), now, lifetimeMs };
    const targets = this.#pick("targets", over);
    const snapshot = valueOf(await signMetadata(valueOf(newSnapshot(targets, spec)), keys.snapshot));
    const timestamp = valueOf(await signMetadata(valueOf(newTimestamp(snapshot, spec)), keys.timestamp));
    this.forged.snapshot.push(snapshot);
    this.forged.timestamp.push(timestamp);
  }

  async forgeTimestamp({ version, expired, over }: Forgery): Promise<void> {
    const lifetimeMs = expired ? -1000 : 3_600_000;
    const spec = { version: this.#version("timestamp", version), now: this.#fleet.now, lifetimeMs };
    const unsigned = valueOf(newTimestamp(this.#pick("snapshot", over), spec));
    this.forged.timestamp.push(valueOf(await signMetadata(unsigned, this.#fleet.keys.timestamp)));
  }

  /** Names his own keys for everything. He lacks a signature of the old keys, but not of the new ones. */
  async forgeRoot({ version, expired }: Forgery): Promise<void> {
    const signers = [...this.#offline("root"), ...this.#own.root, ...this.#own.targets];
    const lifetimeMs = expired ? -1000 : 86_400_000;
    const next = this.#version("root", version);
    const options = { version: next, thresholds: { root: 1, targets: 1 }, lifetimeMs, signers };
    this.forged.root.push(await makeRoot(this.#own, this.#fleet.now, options));
  }

  /** The next root of the fleet, truly signed, but for another organisation: what a signer of two fleets may have made. */
  async foreignRoot(): Promise<void> {
    const { version } = valueOf(readRoot(this.#fleet.published.root.at(-1)!));
    const options = { version: version + 1, thresholds, org: "other" };
    this.forged.root.push(await makeRoot(this.#fleet.keys, this.#fleet.now, options));
  }

  async assignment(said: Parameters<typeof assignment>[2]): Promise<Envelope> {
    return assignment(this.#fleet, this.#fleet.keys.assignment, said);
  }
}

async function assignment(
  { now }: Fleet,
  [signer]: readonly SigningKey[],
  said: { readonly org: string; readonly clusterId: string; readonly generation: number },
): Promise<Envelope> {
  const expires = new Date(now.getTime() + 3_600_000);
  return signAssignment({ ...said, targets: [evil.target], notBefore: now, expires }, signer!);
}
