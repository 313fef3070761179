import { createHash } from "node:crypto";

import { canonical, newSigner, type KeyJson, type TestSigner } from "./signers.ts";

/** What is signed, as plain JSON that a test may change in any way before it is published. */
interface SignedJson {
  readonly _type: string;
  spec_version: string;
  version: number;
  expires: string;
  [field: string]: unknown;
}

export interface RootJson extends SignedJson {
  consistent_snapshot: boolean;
  keys: Record<string, KeyJson>;
  roles: Record<string, { keyids: string[]; threshold: number; [field: string]: unknown }>;
}

interface PinJson {
  version: number;
  length?: number;
  hashes?: Record<string, string>;
}

export interface PinsJson extends SignedJson {
  meta: Record<string, PinJson>;
}

export interface TargetsJson extends SignedJson {
  targets: Record<string, { length: number; hashes: Record<string, string>; custom?: object }>;
  delegations?: {
    keys: Record<string, KeyJson>;
    roles: {
      name: string;
      keyids: string[];
      threshold: number;
      terminating: boolean;
      paths: readonly string[];
    }[];
  };
}

/** A published document, as a test may alter it afterwards. */
export interface Published {
  signatures: { keyid: string; sig: string }[];
  signed: SignedJson;
}

const topLevel = ["targets", "snapshot", "timestamp", "root"] as const;
const dayMs = 86_400_000;
export const inDays = (days: number, from = new Date()): Date => new Date(from.getTime() + days * dayMs);
export const timeText = (time: Date): string => `${time.toISOString().slice(0, 19)}Z`;

/**
 * A repository that keeps the rules of TUF as long as it is left alone. A test changes what it says and publishes that, or
 * replaces what was published: the attacker is in the repository, as in the public conformance suite.
 */
export class Repository {
  readonly root: RootJson;
  readonly timestamp: PinsJson;
  readonly snapshot: PinsJson;
  readonly targets: TargetsJson;
  readonly delegated = new Map<string, TargetsJson>();
  readonly signers = new Map<string, Map<string, TestSigner>>();
  /** Every version that was published, in order. */
  readonly published = new Map<string, Uint8Array[]>();
  readonly artifacts = new Map<string, Uint8Array>();
  /** Whether length and hash are pinned besides the version. */
  pinsBytes = false;
  /** What the client asked for: a role with the version, or "" for none; and artifacts with their hash. */
  readonly requests: string[] = [];
  readonly artifactRequests: string[] = [];

  constructor() {
    const begin = { spec_version: "1.0.31", version: 1, expires: timeText(inDays(30)) };
    const roles = Object.fromEntries(topLevel.map((role) => [role, { keyids: [], threshold: 1 }]));
    this.root = { _type: "root", ...begin, consistent_snapshot: true, keys: {}, roles };
    this.timestamp = { _type: "timestamp", ...begin, meta: { "snapshot.json": { version: 1 } } };
    this.snapshot = { _type: "snapshot", ...begin, meta: { "targets.json": { version: 1 } } };
    this.targets = { _type: "targets", ...begin, targets: {} };
    for (const role of topLevel) this.addKey(role);
    this.publish(...topLevel);
  }

  /** Names a new key for the role, and signs with it from then on. */
  addKey(role: string, signer: TestSigner = newSigner()): TestSigner {
    this.root.keys[signer.keyid] = signer.key;
    this.roleOf(role).keyids.push(signer.keyid);
    this.signWith(role, signer);
    return signer;
  }

  signWith(role: string, signer: TestSigner): void {
    this.signers.set(role, (this.signers.get(role) ?? new Map()).set(signer.keyid, signer));
  }

  /** Forgets the keys of a role: what root names and what signs. */
  dropKeys(role: string): void {
    this.roleOf(role).keyids.length = 0;
    this.signers.get(role)?.clear();
  }

  rotateKeys(role: string): void {
    this.dropKeys(role);
    for (let i = 0; i < this.roleOf(role).threshold; i += 1) this.addKey(role);
  }

  roleOf(role: string): RootJson["roles"][string] {
    return this.root.roles[role]!;
  }

  /** The next version of each role, in this order. A first one is published as it stands. */
  publish(...roles: readonly string[]): void {
    for (const role of roles) {
      const signed = this.saidBy(role);
      const before = this.published.get(role) ?? [];
      if (before.length > 0) signed.version += 1;
      const data = Buffer.from(canonical(signed));
      const signatures = [...(this.signers.get(role)?.values() ?? [])].map((signer) => ({
        keyid: signer.keyid,
        sig: signer.sign(data),
      }));
      // Neither canonical nor in order, as the documents of others.
      const bytes = Buffer.from(JSON.stringify({ signatures, signed }, undefined, 1));
      this.published.set(role, [...before, bytes]);
      const hashes = { sha256: createHash("sha256").update(bytes).digest("hex") };
      const pin = { version: signed.version, ...(this.pinsBytes ? { length: bytes.length, hashes } : {}) };
      if (role === "snapshot") this.timestamp.meta["snapshot.json"] = pin;
      if ("targets" in signed) this.snapshot.meta[`${role}.json`] = pin;
    }
  }

  private saidBy(role: string): SignedJson {
    const known = topLevel.find((name) => name === role);
    return known === undefined ? this.delegated.get(role)! : this[known];
  }

  /** Begins a role again at version 1: the attacker's way back. */
  restart(role: (typeof topLevel)[number]): void {
    this.published.delete(role);
    this[role].version = 1;
  }

  /** Changes the last document of a role after it was signed. */
  alter(role: string, change: (document: Published) => void): void {
    const all = this.published.get(role)!;
    const document = JSON.parse(Buffer.from(all.at(-1)!).toString()) as Published;
    change(document);
    all[all.length - 1] = Buffer.from(JSON.stringify(document));
  }

  addArtifact(path: string, bytes: Uint8Array | string, custom?: object): void {
    const content = Buffer.from(bytes);
    const hashes = { sha256: createHash("sha256").update(content).digest("hex") };
    this.targets.targets[path] = { length: content.length, hashes, ...(custom ? { custom } : {}) };
    this.artifacts.set(path, content);
  }

  /** What a client gets for a path, or nothing. */
  fetch(path: string): Uint8Array | undefined {
    const [, place, rest = ""] = /^(metadata|targets)\/(.*)$/.exec(path) ?? [];
    return place === "metadata" ? this.fetchMetadata(rest) : this.fetchArtifact(rest);
  }

  private fetchMetadata(file: string): Uint8Array | undefined {
    const [, version, name = ""] = /^(?:(\d+)\.)?(.*)\.json$/.exec(file) ?? [];
    this.requests.push(version === undefined ? name : `${name} ${version}`);
    const all = this.published.get(decodeURIComponent(name)) ?? [];
    return version === undefined ? all.at(-1) : all[Number(version) - 1];
  }

  private fetchArtifact(file: string): Uint8Array | undefined {
    const parts = file.split("/").map(decodeURIComponent);
    const [hash = "", ...name] = (parts.pop() ?? "").split(".");
    const path = [...parts, name.join(".")].join("/");
    this.artifactRequests.push(`${path} ${hash}`);
    const listed = Object.values(this.targets.targets[path]?.hashes ?? {});
    return listed.includes(hash) ? this.artifacts.get(path) : undefined;
  }
}
