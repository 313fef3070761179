import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

import writeFileAtomic from "write-file-atomic";
import {
  certificatesFromPem,
  certificateToPem,
  createCa,
  decodeKeyFile,
  encodeKeyFile,
  generateKey,
  issueServerCertificate,
  type CertifiedKey,
  type SigningKey,
} from "#trust";

import type { CaSet } from "./ca-keeper.ts";
import { Failure } from "./failure.ts";
import type { ServerIdentity } from "./http.ts";
import { openKeyring, type KeySets } from "./keyring.ts";
import { onlineRoles, type Keyring } from "./store/sign-metadata.ts";

/** What a server is, apart from its database: whoever holds this directory can act as the fleet's server. */
export interface State {
  readonly ca: CertifiedKey;
  readonly keyring: Keyring;
}

/**
 * Opens the state directory; makes the CA and the online keys on the first start. Each set appears whole or not at all,
 * and of several servers that start at once on one directory all end up with the same.
 */
export async function openState(dir: string, org: string, now: Date): Promise<State> {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const ca = await openCa(join(dir, "ca"), org, now);
    return { ca, keyring: openKeyring(dir, keySets) };
  } catch (error) {
    throw stateFailure(error, dir);
  }
}

async function openCa(dir: string, org: string, now: Date): Promise<CertifiedKey> {
  if (readIfThere(join(dir, "ca.key")) === undefined) {
    const made = await createCa({ org, now });
    createWhole(dir, { "ca.crt": certificateToPem(made.certificate), "ca.key": keyText(made) });
  }
  const text = readFileSync(join(dir, "ca.key"), "utf8");
  const forPeople = readFileSync(join(dir, "ca.crt"), "utf8");
  const [certificate] = certificatesFromPem(`${text}\n${forPeople}`);
  const privateKey = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text)?.[0];
  if (certificate === undefined || privateKey === undefined) {
    throw new Failure(`${dir} does not hold a certificate and its key: restore it`, 2);
  }
  const ca = { certificate, privateKey: `${privateKey}\n` };
  // A crash may have come between the two files of a new CA; the one with the key counts.
  if (forPeople.trim() !== certificateToPem(certificate).trim()) replaceCa(dir, ca);
  return ca;
}

/** The key with its certificate: one file, so that the two are replaced at once. `ca.crt` is a copy for people. */
function keyText({ certificate, privateKey }: CertifiedKey): string {
  return `${privateKey.trim()}\n${certificateToPem(certificate).trim()}\n`;
}

/** Puts a CA in place of the one before. Several servers may do it at once: all of them write the same. */
export function replaceCa(dir: string, ca: CertifiedKey): void {
  writeFileAtomic.sync(join(dir, "ca.key"), keyText(ca), { mode: 0o600 });
  writeFileAtomic.sync(join(dir, "ca.crt"), certificateToPem(ca.certificate), { mode: 0o600 });
}

const keySets: KeySets = {
  make: (dir) => {
    const made = onlineRoles.map((role) => [`${role}.json`, encodeKeyFile(generateKey(), undefined)]);
    createWhole(dir, Object.fromEntries(made) as Record<string, string>);
  },
  read: (dir) => {
    const read = (role: string): SigningKey => {
      const path = join(dir, `${role}.json`);
      const key = decodeKeyFile(readFileSync(path, "utf8"), undefined);
      if (key.ok) return key.value;
      throw new Failure(`The online key ${path} cannot be used: ${key.refusal.message}`, 2);
    };
    return { snapshot: read("snapshot"), timestamp: read("timestamp"), assignment: read("assignment") };
  },
};

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Puts files into a directory that only ever exists with all of them: written elsewhere, forced to disk, then renamed.
 * When somebody else was faster, theirs stays.
 */
function createWhole(dir: string, files: Readonly<Record<string, string>>): void {
  const temporary = `${dir}.new-${process.pid}-${performance.now().toString(36).replace(".", "")}`;
  mkdirSync(temporary, { mode: 0o700 });
  try {
    for (const [name, text] of Object.entries(files)) writeDurably(join(temporary, name), text);
    renameSync(temporary, dir);
    sync(join(dir, ".."));
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
  }
}

/** Writes a file that must not exist yet, for its owner only. */
export function writeDurably(path: string, text: string): void {
  const file = openSync(path, "wx", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function sync(dir: string): void {
  const file = openSync(dir, "r");
  fsyncSync(file);
  closeSync(file);
}

function stateFailure(error: unknown, dir: string): unknown {
  if (error instanceof Failure || !(error instanceof Error)) return error;
  const code = "code" in error ? error.code : undefined;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new Failure(`The disk of the state directory ${dir} is full: free some space and start again`, 3, {
      cause: error,
    });
  }
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    const why = `The state directory ${dir} cannot be used (${error.message}): let this user write there, or set FALCONRY_STATE_DIR`;
    return new Failure(why, 2, { cause: error });
  }
  if (code === "ENOTDIR" || code === "ENOENT" || code === "EISDIR" || code === "EEXIST") {
    return new Failure(
      `The state directory ${dir} is not whole (${error.message}): restore it from a backup`,
      2,
      { cause: error },
    );
  }
  return error;
}

/**
 * A fresh certificate for this server from the CA that issues now, for every name that it may be called by. Its key is never written
 * down: a restart makes another, because agents pin the CA.
 */
export async function issueIdentity(
  { issuer, trusted }: Pick<CaSet, "issuer" | "trusted">,
  hosts: readonly string[],
  now: Date,
  lifetimeMs: number,
): Promise<ServerIdentity> {
  const isWildcard = (host: string) => host === "0.0.0.0" || host === "::";
  const all = [...hosts.filter((host) => !isWildcard(host)), hostname(), "localhost", "127.0.0.1", "::1"];
  const issued = await issueServerCertificate({ ca: issuer, names: [...new Set(all)], now, lifetimeMs });
  const chain = [issued.certificate, issuer.certificate].map(certificateToPem).join("\n");
  return { chain, key: issued.privateKey, ca: trusted.map(certificateToPem) };
}
