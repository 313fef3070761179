import * as fs from "node:fs";
import type { Secret } from "#shipper";

const bytesMax = 64 * 1024;

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
  if (fs.statSync(real).size > bytesMax) {
    throw new Error(`The secret file ${path} has more than ${bytesMax} bytes`);
  }
  return fs.readFileSync(real);
}
