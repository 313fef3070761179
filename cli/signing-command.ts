import { writeFile } from "node:fs/promises";
import { type BuiltBundle, checkSignatures, readRoot, readTargets, type RootView } from "#trust";
import { TrustService } from "#proto/fleet/v1/trust";
import type { Wanted } from "./connection.ts";
import { misused, refused } from "./failure.ts";
import { FleetCommand, type Format } from "./fleet-command.ts";
import { metadataOf, passphraseFrom, trustDirectory } from "./signing.ts";
import { describeDelegations } from "./trust/delegations-view.ts";
import { orRefuse } from "./trust/files.ts";
import { delegationOf, type ListChange, type SignedList, signLayerList } from "./trust/sign-layer-list.ts";
import { keySourcesOf, needsPassphrase } from "./trust/signers.ts";
import { type SignedTargets, type SignOptions, signTargets, coSignTargets } from "./trust/sign-targets.ts";

export type SigningFlags = Wanted & {
  readonly dir?: string | undefined;
  readonly "passphrase-file"?: string | undefined;
};

type Change =
  | (Pick<SignOptions, "remove" | "delegate" | "revoke"> & { readonly bundles: readonly BuiltBundle[] })
  | { readonly begun: Uint8Array };

/** Signed targets metadata, with what it gives to teams, and takes back, that the one before did not. */
export type SignedChange = SignedTargets & { readonly delegated: readonly string[] };

/** What the commands that sign targets metadata share. */
export abstract class SigningCommand extends FleetCommand {
  /** Signs the next targets metadata, made from what the server publishes now, or adds signatures to one that was begun. */
  protected async sign(change: Change, flags: SigningFlags): Promise<SignedChange> {
    const service = await this.client(TrustService, flags);
    const root = await metadataOf(service, "root");
    if (root === undefined) {
      throw refused(
        "The fleet has no trust root yet, so nothing can be signed for it",
        "fleetctl trust init",
      );
    }
    const previousTargets = await metadataOf(service, "targets");
    const dir = trustDirectory(flags.dir);
    const rootView = orRefuse(readRoot(root));
    this.warnOfStrangers(rootView, previousTargets);
    const sources = keySourcesOf(dir, "targets", [rootView.roles.targets]);
    const passphrase = needsPassphrase(sources)
      ? await passphraseFrom(flags["passphrase-file"], this.screen, false)
      : undefined;
    const options = {
      dir,
      root,
      previousTargets,
      sources,
      passphrase,
      now: new Date(this.screen.now()),
      talk: (text: string) => this.screen.talk(text),
    };
    const signed = await ("begun" in change
      ? coSignTargets({ ...options, targets: change.begun })
      : signTargets({ ...options, ...change }));
    return { ...signed, delegated: describeDelegations(previousTargets, signed.targets) };
  }

  /** Writes signed targets metadata to its file and says what is next. `bundles` are the files to push along. */
  protected async tell(
    { targets, view, missing, delegated }: SignedChange,
    file: string,
    format: Format,
    bundles: readonly string[] = [],
  ): Promise<void> {
    await writeFile(file, targets).catch((error: NodeJS.ErrnoException) => {
      throw misused(`${file} cannot be written (${error.code})`, "Choose another place with --out.");
    });
    const listed = [...view.listed.keys()];
    const { version } = view;
    const complete = missing === undefined;
    this.answerWith(
      format,
      () => ({ file, version, listed, complete, delegated: [...delegated] }),
      () => [
        `${file}: targets ${version} lists ${listed.join(", ") || "nothing"}`,
        ...delegated.map((line) => `  ${line}`),
      ],
    );
    if (complete) {
      const push = ["fleetctl bundle push", ...bundles, `--targets ${file}`].join(" ");
      this.talk(`To publish it: ${push}`);
    } else {
      this.talk(
        `More people have to sign: ${missing}`,
        `Each runs, with a trust folder of their own: fleetctl bundle sign --add-to ${file} --dir FOLDER`,
      );
    }
  }

  /** Signs the next list of a layer with the team's keys, or adds signatures to one that was begun. */
  protected async signList(layer: string, change: ListChange, flags: SigningFlags): Promise<SignedList> {
    const service = await this.client(TrustService, flags);
    const targets = await metadataOf(service, "targets");
    if (targets === undefined) {
      throw refused(
        "The fleet has no targets metadata yet, so no layer is delegated",
        "fleetctl trust delegate",
      );
    }
    const role = `layer-${layer}` as const;
    const { authority } = delegationOf(targets, layer);
    const sources = keySourcesOf(trustDirectory(flags.dir), role, [authority]);
    const passphrase = needsPassphrase(sources)
      ? await passphraseFrom(flags["passphrase-file"], this.screen, false)
      : undefined;
    const options = {
      layer,
      targets,
      previous: await metadataOf(service, role),
      sources,
      passphrase,
      now: new Date(this.screen.now()),
      talk: (text: string) => this.screen.talk(text),
    };
    return signLayerList(options, change);
  }

  /** After a change of keys the published list is what the former keys signed: whoever held them may have put things in. */
  private warnOfStrangers(root: RootView, targets: Uint8Array | undefined): void {
    if (targets === undefined) return;
    const { document, version, listed } = orRefuse(readTargets(targets));
    if (checkSignatures(document, root.roles.targets).ok) return;
    this.talk(
      `Targets ${version} was not signed as root ${root.version} demands, and you take over what it lists: ${[...listed.keys()].join(", ") || "nothing"}.`,
      "Leave out with --withdraw what you did not release.",
    );
  }
}
