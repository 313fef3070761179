import { decodeKeyFile, encodeKeyFile } from "#trust";
import writeFileAtomic from "write-file-atomic";
import { misused } from "../failure.ts";
import { notUsable, readBounded } from "./files.ts";

const keyBytesMax = 8192;

/**
 * Seals key files with another passphrase, or none. All are opened before the first is written; each is replaced whole,
 * for its owner only.
 */
export async function sealAnew(
  files: readonly string[],
  passphrase: string | undefined,
  next: string | undefined,
): Promise<readonly { readonly file: string; readonly keyId: string }[]> {
  const opened = files.map((file) => {
    const key = decodeKeyFile(Buffer.from(readBounded(file, keyBytesMax)).toString("utf8"), passphrase);
    if (key.ok) return { file, key: key.value };
    throw misused(`${file}: ${key.refusal.message}; no file was changed`);
  });
  for (const { file, key } of opened) {
    await writeFileAtomic(file, encodeKeyFile(key, next), { mode: 0o600 }).catch((error: unknown) => {
      throw notUsable(file, error);
    });
  }
  return opened.map(({ file, key }) => ({ file, keyId: key.publicKey.keyId }));
}
