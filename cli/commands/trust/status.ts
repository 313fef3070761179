import { type Client } from "@connectrpc/connect";
import { Flags } from "@oclif/core";
import { type GetTrustResponse, type TrustHolders, TrustService } from "#proto/fleet/v1/trust";
import { type RoleName, roleNames, rootPin } from "#trust";
import { answered, exitCodes } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { envOf } from "../../flags.ts";
import { renderAge } from "../../output/quantity.ts";
import { type Column, renderFields, renderTable } from "../../output/table.ts";
import { metadataOf } from "../../signing.ts";
import { alarmsOf, alarmStages, type RoleStanding, standingOf } from "../../trust/role-standing.ts";

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
    const standing = root === undefined ? [] : standingOf({ root, ...others }, new Date(now));
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
  readonly role: RoleName;
  readonly keyId: string;
  readonly hasSigned: boolean;
}

/** Whose keys may sign what people sign, and who of them signed what is published. */
function signerLines(standing: readonly RoleStanding[]): readonly string[] {
  const lines = standing
    .filter(({ role }) => role === "root" || role === "targets")
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

const holderColumns: readonly Column<TrustHolders>[] = [
  { title: "AGENTS", align: "right", cell: ({ agents }) => `${agents}` },
  { title: "ROOT", align: "right", cell: ({ rootVersion }) => versionOf(rootVersion) },
  { title: "TARGETS", align: "right", cell: ({ targetsVersion }) => versionOf(targetsVersion) },
];

function versionOf(version: bigint): string {
  return version === 0n ? "none" : `${version}`;
}
