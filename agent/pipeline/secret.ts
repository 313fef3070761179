import * as fs from "node:fs";
import { isBelowAny, publicCaDirectories } from "#shipper";
import type { Secret } from "#shipper";

const bytesMax = 64 * 1024;
const caBytesMax = 4 * 1024 * 1024;

/** Whether a file, by its real path, may be used as a secret. */
export type MayUseSecret = (file: string) => boolean;

/**
 * A secret as it is now: files are read each time, so that one that was replaced on the node counts from the next request
 * on. Throws when it cannot be had.
 */
export function readSecret(secret: Secret, mayUse: MayUseSecret): string {
  if (secret.kind === "text") return secret.text;
  const text = readSecretFile(secret.path, mayUse)
    .toString("utf8")
    .replace(/\r?\n$/, "");
  if (/\p{Cc}/u.test(text)) {
    throw new Error(`The secret file ${secret.path} holds more than one line, which no header can carry`);
  }
  return text;
}

/** The bytes of a secret file. Its real path is judged, because a link can lead anywhere. */
export function readSecretFile(path: string, mayUse: MayUseSecret): Buffer {
  const real = fs.realpathSync(path);
  if (!mayUse(real)) {
    throw new Error(
      `The secret file ${path} leads to ${real}, which is not below "secretDirectories" of the agent's allow-list`,
    );
  }
  return readBounded("The secret file", path, real, bytesMax);
}

/** The certificates to trust, as many as systems bring. They are no secret, but still nobody may name any file there is. */
export function readCaFile(path: string, mayUse: MayUseSecret): Buffer {
  const real = fs.realpathSync(path);
  if (!mayUse(real) && !isBelowAny(real, publicCaDirectories)) {
    throw new Error(
      `The CA file ${path} leads to ${real}, which is neither below "secretDirectories" of the agent's allow-list nor below ${publicCaDirectories.join(", ")}`,
    );
  }
  return readBounded("The CA file", path, real, caBytesMax);
}

/** A device or a pipe would be read for ever, and detection with it would stand still. */
function readBounded(what: string, path: string, real: string, most: number): Buffer {
  const stat = fs.statSync(real);
  if (!stat.isFile()) throw new Error(`${what} ${path} is no file`);
  if (stat.size > most) throw new Error(`${what} ${path} has more than ${most} bytes`);
  return fs.readFileSync(real);
}
