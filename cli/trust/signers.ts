import { readdirSync } from "node:fs";
import { join } from "node:path";
import {
  type Authority,
  decodeKeyFile,
  isSealedKeyFile,
  layerOfRole,
  type PublicKey,
  publicKeyFromPem,
  publicKeyOfKeyFile,
  shortId,
  type Signer,
} from "#trust";
import { misused, refused } from "../failure.ts";
import { execSigner, parseExecReference, type Talk } from "./exec-signer.ts";
import { notUsable, orRefuse, readBounded } from "./files.ts";

export type OfflineRole = "root" | "targets";
export const offlineRoles = ["root", "targets"] as const satisfies readonly OfflineRole[];
/** Who signs offline: the roles of root metadata, and the teams that own a layer. */
export type SignerRole = OfflineRole | `layer-${string}`;

/** The role that a text names; undefined for anything else. */
export function signerRole(text: string): SignerRole | undefined {
  const known = offlineRoles.find((role) => role === text);
  return known ?? (layerOfRole(text) === undefined ? undefined : (text as SignerRole));
}

/** A file that can sign: a key, sealed or plain, or a reference to a program that holds one. */
export interface KeySource {
  readonly file: string;
  readonly publicKey: PublicKey;
  /** Whether it holds the key itself, and not only says who does. */
  readonly isKey: boolean;
  /** Whether a passphrase has to be asked for. */
  readonly isSealed: boolean;
  open(passphrase: string | undefined, talk: Talk): Signer;
}

const keyBytesMax = 8192;

const keyFileEnd = ".key.json";

/** The key files of a role in a trust folder: `targets.key.json`, or `targets-ada.key.json` and so on. */
export function keyFilesOf(dir: string, role: SignerRole): readonly string[] {
  return keyFilesIn(dir, (base) => base === role || base.startsWith(`${role}-`));
}

/** Every key file of a trust folder. */
export function allKeyFiles(dir: string): readonly string[] {
  return keyFilesIn(dir, (base) => /^(?:root|targets|layer)(?:-|$)/.test(base));
}

function keyFilesIn(dir: string, isWanted: (base: string) => boolean): readonly string[] {
  try {
    const names = readdirSync(dir).filter(
      (name) => name.endsWith(keyFileEnd) && isWanted(name.slice(0, -keyFileEnd.length)),
    );
    return names.sort().map((name) => join(dir, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw notUsable(dir, error);
    throw misused(
      `There is no trust folder ${dir}`,
      "--dir DIR   names the folder that fleetctl trust init wrote; FLEETCTL_TRUST_DIR does too",
    );
  }
}

/** Reads a file that can sign, without opening it. */
export function readKeySource(file: string): KeySource {
  const text = textOf(file);
  const json = parse(text);
  if (json?.["signer"] === "exec") {
    const reference = parseExecReference(file, json);
    const open = (_: string | undefined, talk: Talk) => execSigner(reference, talk);
    return { file, publicKey: reference.publicKey, isKey: false, isSealed: false, open };
  }
  if (json !== undefined && json["signer"] !== undefined) {
    throw misused(
      `${file}: "signer" is of no kind that is known`,
      'Write "signer": "exec"; see docs/signers.md.',
    );
  }
  const publicKey = publicKeyOfKeyFile(text);
  if (!publicKey.ok) throw misused(`${file}: ${publicKey.refusal.message}`);
  return {
    file,
    publicKey: publicKey.value,
    isKey: true,
    isSealed: orRefuse(isSealedKeyFile(text)),
    open: (passphrase) => {
      const opened = decodeKeyFile(text, passphrase);
      if (opened.ok) return opened.value;
      throw misused(`${file}: ${opened.refusal.message}`, "Give the passphrase in FLEETCTL_PASSPHRASE.");
    },
  };
}

/** The public key in a file: PEM, or the public half of a file that can sign. */
export function readPublicKey(file: string): PublicKey {
  const text = textOf(file);
  if (!text.trimStart().startsWith("-----BEGIN")) return readKeySource(file).publicKey;
  const key = publicKeyFromPem(text);
  if (key.ok) return key.value;
  throw misused(`${file}: ${key.refusal.message}`, "openssl pkey -in KEY.pem -pubout   writes it");
}

/**
 * The files in a trust folder whose keys may sign for a role, by the given authorities. Refuses when there is none, and
 * says whose keys would be wanted.
 */
export function keySourcesOf(
  dir: string,
  role: SignerRole,
  authorities: readonly Authority[],
): readonly KeySource[] {
  const files = keyFilesOf(dir, role);
  if (files.length === 0) {
    throw misused(
      `${dir} holds no ${role} key (${role}.key.json)`,
      "--dir DIR   names the folder that holds it",
    );
  }
  const sources = files.map(readKeySource);
  const named = sources.filter(({ publicKey }) => authorities.some(({ keys }) => keys.has(publicKey.keyId)));
  if (named.length > 0) return named;
  const held = sources.map(({ publicKey }) => shortId(publicKey.keyId)).join(", ");
  const wanted = authorities.map(
    ({ from, keys }) => `${from} names ${[...keys.keys()].map(shortId).join(", ")}`,
  );
  throw refused(
    `None of the ${role} keys in ${dir} (${held}) may sign: ${wanted.join("; ")} (trust/unknown-key)`,
    "--dir DIR   names the folder that holds such a key",
    offlineRoles.some((known) => known === role)
      ? `fleetctl trust add-signer ${role} FILE   has the next root name another`
      : `fleetctl trust delegate ${layerOfRole(role) ?? ""} --key FILE   gives the layer to other keys`,
  );
}

/** True when a passphrase has to be asked for before the files can sign. */
export function needsPassphrase(sources: readonly KeySource[]): boolean {
  return sources.some(({ isSealed }) => isSealed);
}

function textOf(file: string): string {
  return Buffer.from(readBounded(file, keyBytesMax)).toString("utf8");
}

/** The JSON object in a text; undefined when it is none, which others then say better. */
function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null && !Array.isArray(json)
      ? (json as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}
