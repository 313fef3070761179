import { constants, existsSync } from "node:fs";
import { access, copyFile, mkdir, rename, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import writeFileAtomic from "write-file-atomic";

import { type Failure, misused, refused } from "../failure.ts";
import { readFileBounded } from "../load-bundle.ts";
import { type Patched, patchApiserver } from "./apiserver-manifest.ts";
import type { Mount } from "./apiserver-mounts.ts";

const manifestBytesMax = 1024 * 1024;

/** A file beside the manifest that the API server has to find: the policy, the webhook's client config. */
export interface Companion {
  readonly path: string;
  readonly text: string;
  /** Why another text that lies there must stay; undefined when it gives way, and is kept beside. */
  readonly refusal: (there: string) => Failure | undefined;
}

export interface Written {
  readonly path: string;
  /** Where the file is kept as it was before; nothing when there was none. */
  readonly backup?: string;
}

export interface Applied extends Patched {
  /** Where the manifest is kept as it was before; nothing when it did not change. */
  readonly backup?: string;
  /** Companions that were written, because they were missing or other than now. */
  readonly written: readonly Written[];
}

/**
 * Writes the companions and then the manifest, so that the API server never starts without a file that it is told to
 * read. What a file said before lies beside it, with the time in its name: each change has its own. The folder of the
 * manifest is watched by the kubelet, which would start a pod of every file in it: what is written on the way, and the
 * manifest of before, lie in the folder above.
 */
export async function applyToHost(
  manifest: string,
  { flags, mounts }: { readonly flags: ReadonlyMap<string, string>; readonly mounts: readonly Mount[] },
  companions: readonly Companion[],
  now: Date,
): Promise<Applied> {
  const before = await readManifest(manifest);
  const patched = patchApiserver(before, manifest, flags, mounts);
  const stamp = now.toISOString().replace(/[-:.]/g, "");
  const todo: (Companion & { readonly isThere: boolean })[] = [];
  for (const companion of companions) {
    const there = await textOf(companion.path);
    if (there === companion.text) continue;
    const refusal = there === undefined ? undefined : companion.refusal(there);
    if (refusal !== undefined) throw refusal;
    todo.push({ ...companion, isThere: there !== undefined });
  }
  const written: Written[] = [];
  for (const { path, text, isThere } of todo) {
    const backup = isThere ? { backup: `${path}.before-${stamp}` } : {};
    if (backup.backup !== undefined) await copyFile(path, backup.backup, constants.COPYFILE_EXCL);
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomic(path, text, { mode: 0o600 });
    written.push({ path, ...backup });
  }
  const log = flags.get("audit-log-path");
  if (log !== undefined) await mkdir(dirname(log), { recursive: true, mode: 0o700 });
  if (patched.changes.length === 0) return { ...patched, written };
  const above = join(dirname(manifest), "..");
  const backup = join(above, `${basename(manifest)}.before-audit-${stamp}`);
  await copyFile(manifest, backup, constants.COPYFILE_EXCL);
  const next = join(above, `.${basename(manifest)}.${process.pid}`);
  const { mode } = await stat(manifest);
  await writeFile(next, patched.text, { mode, flush: true });
  await rename(next, manifest);
  return { ...patched, backup, written };
}

/** That a policy which lies there stays unless somebody says that it gives way. */
export function otherPolicy(path: string): Failure {
  return refused(
    `${path} holds another policy than ours: nothing was changed`,
    `To keep it: --policy-path ${path} --policy ${path}`,
    "To replace it: the same with --replace-policy; a copy is kept beside it.",
  );
}

async function readManifest(path: string): Promise<string> {
  await access(path, constants.R_OK | constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    throw misused(
      `${path} cannot be changed (${error.code})`,
      error.code === "ENOENT"
        ? "Run this on a control-plane host made by kubeadm, or give the path with --manifest."
        : "Run this as root on the control-plane host.",
    );
  });
  return Buffer.from(await readFileBounded(path, manifestBytesMax)).toString("utf8");
}

/** Nothing when there is no such file. */
async function textOf(path: string): Promise<string | undefined> {
  if (!existsSync(path)) return undefined;
  return Buffer.from(await readFileBounded(path, manifestBytesMax)).toString("utf8");
}
