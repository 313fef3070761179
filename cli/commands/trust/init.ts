import { Flags } from "../../oclif.ts";
import { TrustService } from "#proto/fleet/v1/trust";
import { explainPlaced } from "../../connection.ts";
import { Failure, refused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { countFlag, envOf, switchFlag } from "../../flags.ts";
import { keyFlags, passphraseFrom, trustDirectory } from "../../signing.ts";
import { initTrust, onlineKeysOf } from "../../trust/init-trust.ts";

export default class TrustInit extends FleetCommand {
  static override summary = "Make the offline keys of a fleet and publish its first trust root.";
  static override description =
    "The keys of root and targets are made here and never leave this machine: only what they sign may run in the fleet. The root names the server's online keys, so the server has to run. Keep the folder safe and copied; without it nothing can be released any more.";
  static override examples = [
    {
      description: "Keys sealed with a passphrase that is asked for.",
      command: "<%= config.bin %> <%= command.id %>",
    },
    {
      description: "Three root keys of which two have to sign, in a folder on a stick.",
      command:
        "<%= config.bin %> <%= command.id %> --dir /media/stick/trust --root-keys 3 --root-threshold 2 --passphrase-file pass.txt",
    },
  ];
  static override flags = {
    ...keyFlags,
    "insecure-plain-keys": Flags.boolean({
      summary: "Write the keys without a passphrase: whoever reads the folder can sign. For trying things.",
      env: envOf("insecure-plain-keys"),
      exclusive: ["passphrase-file"],
    }),
    "root-keys": countFlag("root-keys", "Root keys to make; one if not given.", 1, 16),
    "root-threshold": countFlag("root-threshold", "Root keys that have to sign; one if not given.", 1, 16),
    "targets-keys": countFlag("targets-keys", "Targets keys to make; one if not given.", 1, 16),
    "targets-threshold": countFlag(
      "targets-threshold",
      "Targets keys that have to sign; one if not given.",
      1,
      16,
    ),
    "keep-back": switchFlag("keep-back", "Do not publish the root yet; trust publish does it later."),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(TrustInit);
    const service = await this.client(TrustService, flags);
    const { org, onlineKeys, roles } = await service.getTrust({});
    const published = roles.find((role) => role.role === "root");
    if (published !== undefined && published.version > 0n) {
      throw refused(
        `The fleet has a trust root already (version ${published.version})`,
        "fleetctl trust status",
      );
    }
    const dir = trustDirectory(flags.dir);
    const passphrase = flags["insecure-plain-keys"]
      ? undefined
      : await passphraseFrom(flags["passphrase-file"], this.screen, true);
    const made = await initTrust({
      dir,
      org,
      onlineKeys: onlineKeysOf(onlineKeys),
      passphrase,
      root: { keys: flags["root-keys"] ?? 1, threshold: flags["root-threshold"] ?? 1 },
      targets: { keys: flags["targets-keys"] ?? 1, threshold: flags["targets-threshold"] ?? 1 },
      now: new Date(this.screen.now()),
    });
    if (!flags["keep-back"]) await this.publish(service.publishRoot({ root: made.root }), made.rootFile);
    this.answerWith(
      flags.output,
      () => ({
        org,
        rootFile: made.rootFile,
        rootPin: made.rootPin,
        expires: made.expires.toISOString(),
        keys: made.keys.map((key) => ({ ...key })),
        sealed: made.sealed,
        published: !flags["keep-back"],
      }),
      () => [`root ${made.rootPin}`, ...made.keys.map((key) => `${key.role} key ${key.keyId}: ${key.file}`)],
    );
    if (!made.sealed) {
      this.talk("The keys are not sealed: whoever reads the folder can sign for the whole fleet.");
    }
    this.talk(
      `Keep ${dir} safe and copied. The root holds until ${made.expires.toISOString().slice(0, 10)}.`,
    );
    if (flags["keep-back"]) this.talk(`To publish it: fleetctl trust publish ${made.rootFile}`);
    else this.talk("Next: fleetctl bundle push rules/starter --kind rules --version 1.0.0 --sign");
  }

  /** The keys are written by then: whoever meets a failure must know that they need not be made again. */
  private async publish(call: Promise<unknown>, rootFile: string): Promise<void> {
    try {
      await call;
    } catch (error) {
      const failure = explainPlaced(error);
      if (!(failure instanceof Failure)) throw error;
      throw new Failure(
        failure.exitCode,
        `The keys are made, but the root was not published: ${failure.message}`,
        [`fleetctl trust publish ${rootFile}   once that is mended`],
        error,
      );
    }
  }
}
