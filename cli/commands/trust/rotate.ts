import { Flags } from "../../oclif.ts";
import { TrustService } from "#proto/fleet/v1/trust";
import type { RootView } from "#trust";
import { misused } from "../../failure.ts";
import { countFlag, durationFlag, envOf, listFlag, switchFlag, valuesOf } from "../../flags.ts";
import { draftFlag, roleFrom, RootCommand } from "../../root-command.ts";
import { keyFlags, passphraseFrom, trustDirectory } from "../../signing.ts";
import { onlineKeysOf } from "../../trust/init-trust.ts";
import { newSigner } from "../../trust/new-signer.ts";
import type { RootChange } from "../../trust/next-root.ts";
import { keySourcesOf, type OfflineRole } from "../../trust/signers.ts";

const daySeconds = 86_400;

export default class TrustRotate extends RootCommand {
  static override summary = "Make the next trust root: renewed, with other keys or thresholds.";
  static override description =
    "Writes the root that follows the published one to a file, unsigned. It counts once the present root's signers and its own have signed it (trust sign) and it is published (trust publish). Nothing changes before that.";
  static override examples = [
    {
      description: "Renew the root for another year.",
      command: "<%= config.bin %> <%= command.id %>",
    },
    {
      description: "Replace the server's online keys and the targets key of this folder, after a theft.",
      command: "<%= config.bin %> <%= command.id %> --online-keys --new-key targets",
    },
  ];
  static override flags = {
    draft: draftFlag,
    "new-key": listFlag(
      "new-key",
      "Make a new key of this role in the trust folder, to replace the folder's present one.",
      "ROLE",
    ),
    "online-keys": switchFlag(
      "online-keys",
      "Have the server make new online keys, and name those. It signs with them once the root is published.",
    ),
    "root-threshold": countFlag(
      "root-threshold",
      "Root keys that have to sign; as before if not given.",
      1,
      16,
    ),
    "targets-threshold": countFlag(
      "targets-threshold",
      "Targets keys that have to sign; as before if not given.",
      1,
      16,
    ),
    valid: durationFlag("valid", "How long the root holds, from a day to ten years; 365d if not given."),
    ...keyFlags,
    "insecure-plain-keys": Flags.boolean({
      summary: "Write new keys without a passphrase: whoever reads the folder can sign. For trying things.",
      env: envOf("insecure-plain-keys"),
      exclusive: ["passphrase-file"],
    }),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(TrustRotate);
    if (flags.valid !== undefined && flags.valid < daySeconds) {
      throw misused(
        "--valid is less than a day: there would be no time to sign the next one",
        "--valid 365d",
      );
    }
    const roles = [...new Set(valuesOf(flags["new-key"]).map(roleFrom))];
    const present = await this.publishedRoot(flags);
    const service = await this.client(TrustService, flags);
    const onlineKeys = flags["online-keys"]
      ? onlineKeysOf((await service.prepareOnlineKeys({})).onlineKeys)
      : undefined;
    const dir = trustDirectory(flags.dir);
    const remove = roles.map((role) => ({ role, keyId: heldKey(dir, role, present) }));
    const thresholds = { root: flags["root-threshold"], targets: flags["targets-threshold"] };
    await this.drafted(present, { thresholds }, flags);
    const isPlain = flags["insecure-plain-keys"] || roles.length === 0;
    const passphrase = isPlain
      ? undefined
      : await passphraseFrom(flags["passphrase-file"], this.screen, true);
    const add = roles.map((role) => {
      const made = newSigner({ dir, role, name: `v${present.version + 1}`, passphrase });
      this.talk(`${role} key ${made.key.keyId}: ${made.file}`);
      return { role, key: made.key };
    });
    const change: RootChange = {
      add,
      remove,
      thresholds,
      onlineKeys,
      lifetimeMs: flags.valid === undefined ? undefined : flags.valid * 1000,
    };
    await this.draftNext(present, change, flags);
  }
}

/** The one key of a role that this folder holds and the present root names. */
function heldKey(dir: string, role: OfflineRole, present: RootView): string {
  const [held, ...more] = keySourcesOf(dir, role, [present.roles[role]]);
  if (held !== undefined && more.length === 0) return held.publicKey.keyId;
  throw misused(
    `${dir} holds ${more.length + 1} ${role} keys that root ${present.version} names, so --new-key cannot tell which to replace`,
    `fleetctl trust new-signer ${role}, add-signer and remove-signer   say it key by key`,
  );
}
