import { join } from "node:path";
import { metadataBytesMax, readRoot } from "#trust";
import writeFileAtomic from "write-file-atomic";
import { misused } from "../../failure.ts";
import { listFlag, optionalArg, valuesOf } from "../../flags.ts";
import { readFileBounded } from "../../load-bundle.ts";
import { draftFile, RootCommand } from "../../root-command.ts";
import { keyFlags, passphraseFrom, trustDirectory } from "../../signing.ts";
import { orRefuse } from "../../trust/files.ts";
import { rootFile } from "../../trust/init-trust.ts";
import { describeRootChange, followRoots } from "../../trust/next-root.ts";
import {
  checkSuccession,
  describeQuorums,
  rootProgress,
  rootSourcesOf,
  signRoot,
} from "../../trust/sign-root.ts";
import { needsPassphrase } from "../../trust/signers.ts";

export default class TrustSign extends RootCommand {
  static override summary = "Add your signatures to the next trust root.";
  static override description =
    "Needs no server: the file is held against root.json in your trust folder, what it changes is shown, and your root keys that either of the two names sign. Hand the file on until enough have signed; the order does not matter. Nothing is published.";
  static override examples = [
    {
      description: "Sign next-root.json with the keys of your folder.",
      command: "<%= config.bin %> <%= command.id %> --dir grace",
    },
    {
      description: "The folder still holds root 1, and root 3 is to be signed.",
      command: "<%= config.bin %> <%= command.id %> next-root.json --after root-2.json",
    },
  ];
  static override args = { file: optionalArg(`The root to sign; ${draftFile} if not given.`) };
  static override flags = {
    ...keyFlags,
    after: listFlag(
      "after",
      "Published roots that came after root.json of the folder, oldest first. They are checked, and the last one is kept.",
      "FILE",
    ),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(TrustSign);
    const file = args.file ?? draftFile;
    const dir = trustDirectory(flags.dir);
    const trusted = await readFileBounded(join(dir, rootFile), metadataBytesMax);
    const after: Uint8Array[] = [];
    for (const path of valuesOf(flags.after)) after.push(await readFileBounded(path, metadataBytesMax));
    const present = followRoots(trusted, after);
    const unsigned = await readFileBounded(file, metadataBytesMax);
    const next = orRefuse(readRoot(unsigned));
    checkSuccession(present, next);
    if (after.length > 0) await this.keepRoot(dir, present.document.bytes);
    const sources = rootSourcesOf(dir, present, next);
    this.talk(`Root ${next.version} follows root ${present.version} of "${next.org ?? ""}" and changes:`);
    this.talk(...describeRootChange(present, next).map((line) => `  ${line}`));
    const passphrase = needsPassphrase(sources)
      ? await passphraseFrom(flags["passphrase-file"], this.screen, false)
      : undefined;
    const { root, view } = await signRoot(unsigned, sources, passphrase, (text) => this.screen.talk(text));
    await writeFileAtomic(file, Buffer.from(root)).catch((error: NodeJS.ErrnoException) => {
      throw misused(
        `${file} cannot be written (${error.code})`,
        "Copy it to where it can, and sign it there.",
      );
    });
    const { version, quorums, missing } = rootProgress(present, view, new Date(this.screen.now()));
    this.answerWith(
      flags.output,
      () => ({
        file,
        version,
        complete: missing === undefined,
        quorums: quorums.map(({ from, threshold, signed, missing: left }) => ({
          from,
          threshold,
          signed: [...signed],
          missing: [...left],
        })),
      }),
      () => [`${file}: root ${version}`, ...describeQuorums(quorums).map((line) => `  ${line}`)],
    );
    if (missing === undefined) this.talk(`To publish it: fleetctl trust publish ${file}`);
    else {
      this.talk(
        `It cannot be published yet: ${missing}`,
        `Hand the file on; each runs: fleetctl trust sign ${file} --dir FOLDER`,
      );
    }
  }
}
