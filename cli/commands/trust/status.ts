import { type Client } from "@connectrpc/connect";
import { Flags } from "../../oclif.ts";
import { type GetTrustResponse, type TrustHolders, TrustService } from "#proto/fleet/v1/trust";
import { type LayerDelegation, type RoleName, roleNames, rootPin, shortId } from "#trust";
import { answered, exitCodes } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { envOf } from "../../flags.ts";
import { renderAge } from "../../output/quantity.ts";
import { type Column, renderFields, renderTable } from "../../output/table.ts";
import { metadataOf } from "../../signing.ts";
import { delegationsIn, selectorText, termsText } from "../../trust/delegations-view.ts";
import {
  alarmsOf,
  alarmStages,
  type PublishedRole,
  type RoleStanding,
  standingOf,
  standingOfList,
} from "../../trust/role-standing.ts";

export default class TrustStatus extends FleetCommand {
  static override summary = "Show who may sign what, who has, what expires when, and which agents follow.";
  static override description =
    "Ends with 1 when somebody has to do something: metadata has that part of its life behind it that --alarm-at says, or lacks signatures of the present root's keys. So it can stand in a crontab. Root and targets are signed by people; snapshot and timestamp are renewed by the server itself at half of their life.";
  static override examples = [
    { description: "Is anything about to expire?", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "Once a day by cron, which sends a mail when there is output and the exit code is not 0.",
      command: "<%= config.bin %> <%= command.id %> --alarm-at 50",
    },
  ];
  static override flags = {
    "alarm-at": Flags.option({
      summary: "The part of a life, in per cent, from which the exit code is 1.",
      options: ["50", "80", "100"] as const,
      default: "80" as const,
      env: envOf("alarm-at"),
    })(),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(TrustStatus);
    const service = await this.client(TrustService, flags);
    const trust = await service.getTrust({});
    const now = this.screen.now();
    const { root, ...others } = await publishedOf(service);
    const layers = [...delegationsIn(others.targets).values()];
    const lists = await listsOf(service, layers, new Date(now));
    const roles = root === undefined ? [] : standingOf({ root, ...others }, new Date(now));
    const standing = [...roles, ...lists];
    const alarms = alarmsOf(standing, alarmStages[flags["alarm-at"]]);
    const pin = root === undefined ? "none yet" : rootPin(root);
    this.answerWith(
      flags.output,
      () => ({
        org: trust.org,
        root: root === undefined ? null : pin,
        onlineKeys: trust.onlineKeys.map(({ role, keyId, publicKey }) => ({ role, keyId, publicKey })),
        waitingKeys: trust.waitingKeys.map(({ role, keyId, publicKey }) => ({ role, keyId, publicKey })),
        roles: standing.map(jsonOf),
        layers: layers.map(layerJson),
        holders: trust.holders.map((each) => ({
          root: Number(each.rootVersion),
          targets: Number(each.targetsVersion),
          agents: each.agents,
        })),
        alarms: [...alarms],
      }),
      (wide) => [
        ...head(trust, pin),
        ...(standing.length === 0 ? [] : ["", ...renderTable(standing, columns(now), { wide })]),
        ...signerLines(standing),
        ...(layers.length === 0 ? [] : ["", ...renderTable(layers, layerColumns, { wide })]),
        ...(trust.holders.length === 0 ? [] : ["", ...renderTable(trust.holders, holderColumns, { wide })]),
      ],
    );
    if (root === undefined) {
      this.talk("No cluster can join before there is a root. To make one: fleetctl trust init");
    }
    if (alarms.length === 0) return;
    this.talk(...alarms);
    throw answered(exitCodes.refused);
  }
}

async function publishedOf(service: Client<typeof TrustService>) {
  const found: { [R in RoleName]?: Uint8Array } = {};
  for (const role of roleNames) {
    const bytes = await metadataOf(service, role);
    if (bytes !== undefined) found[role] = bytes;
  }
  return found;
}

/** Where the lists of the layers stand that teams have released. */
async function listsOf(
  service: Client<typeof TrustService>,
  layers: readonly LayerDelegation[],
  now: Date,
): Promise<readonly RoleStanding[]> {
  const lists: RoleStanding[] = [];
  for (const delegation of layers) {
    const list = await metadataOf(service, `layer-${delegation.layer}`);
    if (list !== undefined) lists.push(standingOfList(list, delegation, now));
  }
  return lists;
}

function jsonOf(standing: RoleStanding) {
  const { role, version, life, used, stage, threshold, signed, missing } = standing;
  return {
    role,
    version,
    issued: life.begins.toISOString(),
    expires: life.ends.toISOString(),
    usedPercent: Math.floor(used * 100),
    stage,
    threshold,
    signed: [...signed],
    missing: [...missing],
  };
}

function head(trust: GetTrustResponse, pin: string): readonly string[] {
  return renderFields([
    ["org", trust.org],
    ["root", pin],
    ...trust.onlineKeys.map((key) => [`${key.role} key`, key.keyId] as const),
    ...trust.waitingKeys.map((key) => [`waiting ${key.role} key`, key.keyId] as const),
  ]);
}

const columns = (now: number): readonly Column<RoleStanding>[] => [
  { title: "ROLE", cell: ({ role }) => role },
  { title: "VERSION", align: "right", cell: ({ version }) => `${version}` },
  {
    title: "LEFT",
    align: "right",
    // Rounded up to the second, so that a day just given shows as 1d.
    cell: ({ life, stage }) => (stage === "expired" ? "expired" : renderAge(life.ends.getTime() - now + 999)),
  },
  { title: "USED", align: "right", cell: ({ used }) => `${Math.floor(used * 100)}%` },
  { title: "SIGNED", align: "right", cell: ({ signed }) => `${signed.length}` },
  {
    title: "NEEDS",
    cell: ({ threshold, signed, missing }) => `${threshold} of ${signed.length + missing.length}`,
  },
  { title: "STATE", cell: stateOf, tone: (role) => (stateOf(role) === "ok" ? undefined : "bad") },
];

function stateOf({ stage, threshold, signed }: RoleStanding): string {
  if (signed.length < threshold) return "lacks signatures";
  return stage === "fresh" ? "ok" : stage;
}

interface SignerLine {
  readonly role: PublishedRole;
  readonly keyId: string;
  readonly hasSigned: boolean;
}

/** Whose keys may sign what people sign, and who of them signed what is published. */
function signerLines(standing: readonly RoleStanding[]): readonly string[] {
  const lines = standing
    .filter(({ role }) => role !== "snapshot" && role !== "timestamp")
    .flatMap(({ role, signed, missing }): SignerLine[] => [
      ...signed.map((keyId) => ({ role, keyId, hasSigned: true })),
      ...missing.map((keyId) => ({ role, keyId, hasSigned: false })),
    ]);
  if (lines.length === 0) return [];
  const signers: readonly Column<SignerLine>[] = [
    { title: "SIGNER", cell: ({ role }) => role },
    { title: "KEY", cell: ({ keyId }) => keyId },
    { title: "SIGNED", cell: ({ hasSigned }) => (hasSigned ? "yes" : "no") },
  ];
  return ["", ...renderTable(lines, signers, { wide: false })];
}

function layerJson({ authority, ...terms }: LayerDelegation) {
  const { layer, level, prefix = null } = terms;
  const keys = [...authority.keys.keys()];
  const bounds = { selector: { ...terms.selector }, tune: [...terms.tune], replace: [...terms.replace] };
  return { layer, level, prefix, ...bounds, threshold: authority.threshold, keys };
}

/** What targets metadata gives to teams. */
const layerColumns: readonly Column<LayerDelegation>[] = [
  { title: "LAYER", cell: ({ layer }) => layer },
  { title: "LEVEL", cell: ({ level }) => level },
  { title: "CLUSTERS", cell: selectorText },
  { title: "NEEDS", cell: ({ authority }) => `${authority.threshold} of ${authority.keys.size}` },
  { title: "KEYS", cell: ({ authority }) => [...authority.keys.keys()].map(shortId).join(", ") },
  { title: "TERMS", cell: termsText },
];

const holderColumns: readonly Column<TrustHolders>[] = [
  { title: "AGENTS", align: "right", cell: ({ agents }) => `${agents}` },
  { title: "ROOT", align: "right", cell: ({ rootVersion }) => versionOf(rootVersion) },
  { title: "TARGETS", align: "right", cell: ({ targetsVersion }) => versionOf(targetsVersion) },
];

function versionOf(version: bigint): string {
  return version === 0n ? "none" : `${version}`;
}
