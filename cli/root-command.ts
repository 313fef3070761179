import { join } from "node:path";
import { TrustService } from "#proto/fleet/v1/trust";
import { metadataBytesMax, readRoot, type RootView } from "#trust";
import writeFileAtomic from "write-file-atomic";
import type { Wanted } from "./connection.ts";
import { misused, refused } from "./failure.ts";
import { FleetCommand, type Format } from "./fleet-command.ts";
import { countFlag, requiredArg, textFlag } from "./flags.ts";
import { isFile, readFileBounded } from "./load-bundle.ts";
import { metadataOf } from "./signing.ts";
import { orRefuse } from "./trust/files.ts";
import { rootFile } from "./trust/init-trust.ts";
import { describeRootChange, type DraftedRoot, draftRoot, type RootChange } from "./trust/next-root.ts";
import { type OfflineRole, offlineRoles } from "./trust/signers.ts";

export const draftFile = "next-root.json";
export const draftFlag = textFlag(
  "draft",
  `The next root under work: changed when it is there, else begun. ${draftFile} if not given.`,
  "FILE",
);
export const thresholdFlag = countFlag(
  "threshold",
  "How many keys of the role have to sign; as before if not given.",
  1,
  16,
);
export const roleArg = requiredArg("root or targets.");

/** The role that an argument names. */
export function roleFrom(text: string): OfflineRole {
  const role = offlineRoles.find((known) => known === text);
  if (role !== undefined) return role;
  throw misused(`"${text.slice(0, 80)}" is no role with offline keys`, "root, or targets");
}

type RootFlags = Wanted & { readonly draft?: string | undefined; readonly output: Format };

/** What the commands that make or change the next root share. */
export abstract class RootCommand extends FleetCommand {
  /** The root that the server publishes. */
  protected async publishedRoot(flags: Wanted): Promise<RootView> {
    const root = await metadataOf(await this.client(TrustService, flags), "root");
    if (root !== undefined) return orRefuse(readRoot(root));
    throw refused("The fleet has no trust root yet, so there is none to follow", "fleetctl trust init");
  }

  /** Makes the next root or changes its draft, writes it unsigned, and shows what it says otherwise than the present one. */
  protected async draftNext(present: RootView, change: RootChange, flags: RootFlags): Promise<void> {
    const file = flags.draft ?? draftFile;
    const { root, view, dropped } = await this.drafted(present, change, flags);
    await writeFileAtomic(file, Buffer.from(root)).catch((error: NodeJS.ErrnoException) => {
      throw misused(`${file} cannot be written (${error.code})`, "Choose another place with --draft.");
    });
    const changes = describeRootChange(present, view);
    const expires = view.document.expires.toISOString();
    this.answerWith(
      flags.output,
      () => ({ file, version: view.version, expires, changes: [...changes], signaturesDropped: dropped }),
      () => [`${file}: root ${view.version}, unsigned`, ...changes.map((line) => `  ${line}`)],
    );
    if (dropped > 0) {
      this.talk(`${dropped} signatures were dropped: what they signed has changed. All have to sign again.`);
    }
    this.talk(`To sign it, each with a trust folder of their own: fleetctl trust sign ${file} --dir FOLDER`);
  }

  /** The next root, not written yet. Refuses what can be refused before anything is made for it. */
  protected async drafted(
    present: RootView,
    change: RootChange,
    flags: Pick<RootFlags, "draft">,
  ): Promise<DraftedRoot> {
    const file = flags.draft ?? draftFile;
    const begun = (await isFile(file)) ? await readFileBounded(file, metadataBytesMax) : undefined;
    return draftRoot(present, begun, change, new Date(this.screen.now()));
  }

  /** Keeps the newest root that was verified in a trust folder, so that the next one can be held against it. */
  protected async keepRoot(dir: string, root: Uint8Array): Promise<void> {
    const file = join(dir, rootFile);
    await writeFileAtomic(file, Buffer.from(root), { mode: 0o644 }).catch((error: NodeJS.ErrnoException) => {
      throw misused(`${file} cannot be written (${error.code})`, "Copy the new root there by hand.");
    });
  }
}
