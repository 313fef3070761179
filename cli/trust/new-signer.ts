import { join } from "node:path";
import { encodeKeyFile, generateKey, type PublicKey, publicKeyToPem } from "#trust";
import { misused } from "../failure.ts";
import { makePrivateFolder, orRefuse, writeNew } from "./files.ts";
import { checkPassphrase } from "./init-trust.ts";
import type { SignerRole } from "./signers.ts";

export interface NewSigner {
  readonly dir: string;
  readonly role: SignerRole;
  /** Part of the files' names; without it they are called after the role alone. */
  readonly name?: string | undefined;
  /** Undefined writes the key unsealed. */
  readonly passphrase: string | undefined;
}

export interface MadeSigner {
  /** The secret. It stays where it is. */
  readonly file: string;
  /** The public half in PEM, to hand over. */
  readonly publicFile: string;
  readonly key: PublicKey;
}

/** Makes a key for a person, in their folder. It may sign nothing before a root names it. */
export function newSigner({ dir, role, name, passphrase }: NewSigner): MadeSigner {
  checkPassphrase(passphrase);
  if (name !== undefined && !/^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/.test(name)) {
    throw misused(
      `"${name.slice(0, 80)}" cannot be part of a file's name`,
      "Use letters, digits, -, _ and . only.",
    );
  }
  const base = join(dir, name === undefined ? role : `${role}-${name}`);
  const key = generateKey();
  makePrivateFolder(dir);
  writeNew(`${base}.key.json`, encodeKeyFile(key, passphrase), 0o600);
  writeNew(`${base}.pub.pem`, orRefuse(publicKeyToPem(key.publicKey)), 0o644);
  return { file: `${base}.key.json`, publicFile: `${base}.pub.pem`, key: key.publicKey };
}
