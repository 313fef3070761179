import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Client } from "@connectrpc/connect";
import { PublishRootResponseSchema, TrustService } from "#proto/fleet/v1/trust";
import {
  checkNextRoot,
  checkSignatures,
  metadataBytesMax,
  readRoot,
  readTargets,
  rootPin,
  type RootView,
} from "#trust";
import { refused } from "../../failure.ts";
import { optionalArg } from "../../flags.ts";
import { readFileBounded } from "../../load-bundle.ts";
import { RootCommand } from "../../root-command.ts";
import { keyFlags, metadataOf, trustDirectory } from "../../signing.ts";
import { orRefuse } from "../../trust/files.ts";
import { onlineKeysOf, rootFile } from "../../trust/init-trust.ts";
import { isoOf } from "../../views.ts";

export default class TrustPublish extends RootCommand {
  static override summary = "Publish signed root metadata, the next version of the chain.";
  static override description =
    "Taken only when it is the next version, carries the signatures that the present root and the new one demand, has not expired and names the server's online keys. That is looked at here before it is sent, and again by the server and by every agent.";
  static override examples = [
    { description: "The root that trust init kept back.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "The next root, once enough have signed it.",
      command: "<%= config.bin %> <%= command.id %> next-root.json",
    },
  ];
  static override args = { file: optionalArg("Root metadata; root.json in the trust folder if not given.") };
  static override flags = { dir: keyFlags.dir };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(TrustPublish);
    const dir = trustDirectory(flags.dir);
    const file = args.file ?? join(dir, rootFile);
    const root = await readFileBounded(file, metadataBytesMax);
    const service = await this.client(TrustService, flags);
    const present = await metadataOf(service, "root");
    const view = await checkPublishable(service, present, root, new Date(this.screen.now()), file);
    const response = await service.publishRoot({ root });
    this.answer(flags.output, PublishRootResponseSchema, response, () => [
      `Published root ${response.root?.version ?? 0n} (${rootPin(root)}), valid until ${isoOf(response.root?.expiresAt)}.`,
    ]);
    if (args.file !== undefined && existsSync(join(dir, rootFile))) await this.advance(dir, present, root);
    await this.tellOfTargets(service, view);
  }

  /** A folder of this fleet follows, so that its next signature is held against the root that is published. */
  private async advance(dir: string, present: Uint8Array | undefined, root: Uint8Array): Promise<void> {
    const held = await readFileBounded(join(dir, rootFile), metadataBytesMax);
    if (present === undefined || !Buffer.from(held).equals(present)) return;
    await this.keepRoot(dir, root);
    this.talk(
      `${join(dir, rootFile)} is the new root now. The other signers need a copy of it for their next signature.`,
    );
  }

  private async tellOfTargets(service: Client<typeof TrustService>, root: RootView): Promise<void> {
    const bytes = await metadataOf(service, "targets");
    if (bytes === undefined) return;
    const { document, version } = orRefuse(readTargets(bytes));
    const signed = checkSignatures(document, root.roles.targets);
    if (signed.ok) return;
    this.talk(
      `What runs goes on, but nothing new starts yet: ${signed.refusal.message}.`,
      `Sign targets ${version + 1} with the keys that root ${root.version} names: fleetctl bundle sign --renew, then fleetctl bundle push --targets targets.json`,
    );
  }
}

/** Refuses here what the server and the agents would refuse, with what to do about it. */
async function checkPublishable(
  service: Client<typeof TrustService>,
  present: Uint8Array | undefined,
  root: Uint8Array,
  now: Date,
  file: string,
): Promise<RootView> {
  const { onlineKeys, waitingKeys } = await service.getTrust({});
  const next = orRefuse(readRoot(root), `${file} holds no root metadata: fleetctl trust rotate makes it.`);
  const sets = [waitingKeys, onlineKeys].filter((keys) => keys.length > 0).map(onlineKeysOf);
  const named = sets.find((keys) => next.roles.timestamp.keys.has(keys.timestamp.keyId));
  const keys = named ?? onlineKeysOf(onlineKeys);
  const checked = checkNextRoot(present, root, keys, now);
  if (checked.ok) return checked.value;
  const { code, message } = checked.refusal;
  throw refused(`This root cannot be published: ${message} (${code})`, ...nextSteps(code, file));
}

function nextSteps(code: string, file: string): readonly string[] {
  if (code === "trust/threshold-not-met" || code === "trust/unknown-key") {
    return [`fleetctl trust sign ${file} --dir FOLDER   by those who have not signed yet`];
  }
  if (code === "trust/wrong-online-key") {
    return [
      `fleetctl trust rotate --online-keys --draft ${file}   names keys that the server holds; then sign again`,
    ];
  }
  if (code === "trust/expired") {
    return [`fleetctl trust rotate --draft ${file} --valid 365d   then sign again`];
  }
  return [
    "fleetctl trust status   shows what is published",
    "fleetctl trust rotate   begins the next root from it",
  ];
}
