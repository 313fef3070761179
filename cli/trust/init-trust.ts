import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  encodeKeyFile,
  generateKey,
  newRoot,
  publicKeyFromHex,
  readRoot,
  rootPin,
  signMetadata,
  type OnlineKeys,
  type PublicKey,
  type SigningKey,
} from "#trust";
import { misused, refused } from "../failure.ts";
import { makePrivateFolder, orRefuse, writeNew } from "./files.ts";

export const passphraseLengthMin = 12;
export const rootFile = "root.json";

export interface InitOptions {
  /** Made when missing, for its owner only. */
  readonly dir: string;
  readonly org: string;
  /** The server's own keys; see {@link onlineKeysOf}. */
  readonly onlineKeys: OnlineKeys;
  /** Undefined writes the keys unsealed: for fleets to try things with. */
  readonly passphrase: string | undefined;
  /** How many keys to make, and how many of them have to sign; 1 of 1 when absent. */
  readonly root?: Quorum;
  readonly targets?: Quorum;
  readonly now: Date;
}

export interface Quorum {
  readonly keys: number;
  readonly threshold: number;
}

export interface InitSummary {
  readonly rootFile: string;
  readonly root: Uint8Array;
  /** "sha256:" and the hash of the root: what join strings pin. */
  readonly rootPin: string;
  readonly expires: Date;
  readonly keys: readonly {
    readonly role: "root" | "targets";
    readonly keyId: string;
    readonly file: string;
  }[];
  readonly sealed: boolean;
}

interface NamedKey {
  readonly role: "root" | "targets";
  readonly file: string;
  readonly key: SigningKey;
}

const single: Quorum = { keys: 1, threshold: 1 };
const keysMax = 16;

/**
 * Makes the offline keys of a fleet and its first root, signed. Nothing that exists is overwritten; the root is written
 * last, so that a folder with a root is complete.
 */
export async function initTrust(options: InitOptions): Promise<InitSummary> {
  const { dir, org, onlineKeys, passphrase, now } = options;
  const quorums = { root: options.root ?? single, targets: options.targets ?? single };
  checkOptions(options, quorums);
  const named = [...newKeys(dir, "root", quorums.root), ...newKeys(dir, "targets", quorums.targets)];
  const of = (role: NamedKey["role"]) => named.filter((key) => key.role === role).map(({ key }) => key);
  const publicOf = (role: NamedKey["role"]) => of(role).map(({ publicKey }) => publicKey);
  const { snapshot, timestamp, assignment } = onlineKeys;
  const unsigned = newRoot({
    org,
    version: 1,
    keys: {
      root: publicOf("root"),
      targets: publicOf("targets"),
      snapshot: [snapshot],
      timestamp: [timestamp],
      assignment: [assignment],
    },
    thresholds: { root: quorums.root.threshold, targets: quorums.targets.threshold },
    now,
  });
  const root = orRefuse(await signMetadata(orRefuse(unsigned), of("root")));
  makePrivateFolder(dir);
  for (const { file, key } of named) writeNew(file, encodeKeyFile(key, passphrase), 0o600);
  writeNew(join(dir, rootFile), root, 0o644);
  return {
    rootFile: join(dir, rootFile),
    root,
    rootPin: rootPin(root),
    expires: orRefuse(readRoot(root)).document.expires,
    keys: named.map(({ role, file, key }) => ({ role, file, keyId: key.publicKey.keyId })),
    sealed: passphrase !== undefined,
  };
}

function checkOptions({ dir, passphrase }: InitOptions, quorums: Record<string, Quorum>): void {
  if (existsSync(join(dir, rootFile))) {
    throw misused(
      `${join(dir, rootFile)} is there already: this folder holds the trust of a fleet`,
      "Choose another folder with --dir.",
    );
  }
  checkPassphrase(passphrase);
  for (const [role, { keys, threshold }] of Object.entries(quorums)) {
    const fits =
      Number.isInteger(keys) && keys >= 1 && keys <= keysMax && Number.isInteger(threshold) && threshold >= 1;
    if (fits && threshold <= keys) continue;
    throw misused(
      `${role}: ${threshold} of ${keys} keys cannot sign; the threshold goes from 1 to the number of keys, at most ${keysMax}`,
    );
  }
}

/** Refuses a new passphrase that can be guessed by trying. */
export function checkPassphrase(passphrase: string | undefined): void {
  if (passphrase === undefined || passphrase.length >= passphraseLengthMin) return;
  throw misused(
    `the passphrase has ${passphrase.length} characters; at least ${passphraseLengthMin} are needed`,
  );
}

function newKeys(dir: string, role: NamedKey["role"], { keys }: Quorum): readonly NamedKey[] {
  return Array.from({ length: keys }, (_, index) => {
    const name = keys === 1 ? `${role}.key.json` : `${role}-${index + 1}.key.json`;
    return { role, file: join(dir, name), key: generateKey() };
  });
}

/** Takes the online keys from a server's answer, which lists them as role and hex. */
export function onlineKeysOf(
  listed: readonly { readonly role: string; readonly publicKey: string }[],
): OnlineKeys {
  const find = (role: keyof OnlineKeys): PublicKey => {
    const found = listed.find((key) => key.role === role);
    if (found !== undefined) return orRefuse(publicKeyFromHex(found.publicKey));
    throw refused(`the server names no ${role} key`, "Upgrade the server, or ask for its log.");
  };
  return { snapshot: find("snapshot"), timestamp: find("timestamp"), assignment: find("assignment") };
}
