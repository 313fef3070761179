import { type BuiltBundle, checkSignatures, readRoot, readTargets, type RootView } from "#trust";
import { TrustService } from "#proto/fleet/v1/trust";
import type { Wanted } from "./connection.ts";
import { refused } from "./failure.ts";
import { FleetCommand } from "./fleet-command.ts";
import { metadataOf, passphraseFrom, trustDirectory } from "./signing.ts";
import { orRefuse } from "./trust/files.ts";
import { keySourcesOf, needsPassphrase } from "./trust/signers.ts";
import { type SignedTargets, signTargets, coSignTargets } from "./trust/sign-targets.ts";

export type SigningFlags = Wanted & {
  readonly dir?: string | undefined;
  readonly "passphrase-file"?: string | undefined;
};

type Change =
  | { readonly bundles: readonly BuiltBundle[]; readonly remove: readonly string[] }
  | { readonly begun: Uint8Array };

/** What the commands that sign targets metadata share. */
export abstract class SigningCommand extends FleetCommand {
  /** Signs the next targets metadata, made from what the server publishes now, or adds signatures to one that was begun. */
  protected async sign(change: Change, flags: SigningFlags): Promise<SignedTargets> {
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
    const sealed = needsPassphrase(keySourcesOf(dir, "targets", [rootView.roles.targets]));
    const passphrase = sealed
      ? await passphraseFrom(flags["passphrase-file"], this.screen, false)
      : undefined;
    const options = {
      dir,
      root,
      previousTargets,
      passphrase,
      now: new Date(this.screen.now()),
      talk: (text: string) => this.screen.talk(text),
    };
    return "begun" in change
      ? coSignTargets({ ...options, targets: change.begun })
      : signTargets({ ...options, bundles: change.bundles, remove: change.remove });
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
