import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { decodeKeyFile, isSealedKeyFile, type Signer } from "#trust";
import { misused } from "../failure.ts";
import { notUsable, orRefuse, readBounded } from "./files.ts";

export type OfflineRole = "root" | "targets";

const keyBytesMax = 4096;

/** The key files of a role in a trust folder: `targets.key.json`, or `targets-1.key.json` and so on. */
export function keyFilesOf(dir: string, role: OfflineRole): readonly string[] {
  const pattern = role === "root" ? /^root(?:-[\w.]+)?\.key\.json$/ : /^targets(?:-[\w.]+)?\.key\.json$/;
  try {
    const names = readdirSync(dir).filter((name) => pattern.test(name));
    return names.sort().map((name) => join(dir, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw notUsable(dir, error);
    throw misused(
      `There is no trust folder ${dir}`,
      "--dir DIR   names the folder that fleetctl trust init wrote; FLEETCTL_TRUST_DIR does too",
    );
  }
}

/** True when a passphrase has to be asked for before the files can sign. */
export function needsPassphrase(files: readonly string[]): boolean {
  return files.some((file) => orRefuse(isSealedKeyFile(textOf(file))));
}

/** Opens key files. A wrong passphrase names the file. */
export function openSigners(files: readonly string[], passphrase: string | undefined): readonly Signer[] {
  return files.map((file) => {
    const opened = decodeKeyFile(textOf(file), passphrase);
    if (opened.ok) return opened.value;
    throw misused(`${file}: ${opened.refusal.message}`, "Give the passphrase in FLEETCTL_PASSPHRASE.");
  });
}

/** The signers of a role in a trust folder; at least one. */
export function signersOf(dir: string, role: OfflineRole, passphrase: string | undefined): readonly Signer[] {
  const files = keyFilesOf(dir, role);
  if (files.length > 0) return openSigners(files, passphrase);
  throw misused(
    `${dir} holds no ${role} key (${role}.key.json)`,
    `Name the folder that fleetctl trust init wrote, here ${basename(dir)}, with --dir.`,
  );
}

function textOf(file: string): string {
  return Buffer.from(readBounded(file, keyBytesMax)).toString("utf8");
}
