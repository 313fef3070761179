import { GetCaResponseSchema, type CaGate, type CaRotation, type GetCaResponse } from "#proto/fleet/v1/ca";
import type { Wanted } from "./connection.ts";
import { FleetCommand, type Format } from "./fleet-command.ts";
import { listFlag } from "./flags.ts";
import { renderFields } from "./output/table.ts";
import { countOf } from "./output/text.ts";
import { keepCas } from "./trust/keep-cas.ts";
import { isoOf } from "./views.ts";

export const leaveBehindFlag = listFlag(
  "leave-behind",
  "Go on without these agents, which lose the fleet until they enrol again.",
  "CLUSTER/AGENT",
);

/** What the commands about the CA share: how they show it, and that the context keeps up with it. */
export abstract class CaCommand extends FleetCommand {
  protected async show(
    flags: Wanted & { readonly output: Format },
    ca: GetCaResponse | undefined,
  ): Promise<void> {
    if (ca === undefined) return;
    this.answer(flags.output, GetCaResponseSchema, ca, () => linesOf(ca));
    const pems = ca.authorities.map((each) => each.certificate);
    const changed = await keepCas(flags, process.env, pems);
    if (changed !== undefined) this.talk(`Context ${changed} trusts ${countOf(pems.length, "CA")} now.`);
    this.talk(...nextSteps(ca));
  }
}

function linesOf({ authorities, rotation, gate }: GetCaResponse): readonly string[] {
  const fields: (readonly [string, string])[] = authorities.map((ca) => [
    ca.isPresented ? "CA, presented" : "CA, trusted",
    `${ca.pin}, until ${isoOf(ca.expiresAt).slice(0, 10)}`,
  ]);
  if (rotation !== undefined) fields.push(["rotation", `${rotation.number}, ${stateOf(rotation)}`]);
  if (gate !== undefined) fields.push(...gateOf(gate));
  if (gate === undefined && rotation !== undefined && rotation.leftBehind.length > 0) {
    fields.push(["left behind", rotation.leftBehind.join(", ")]);
  }
  return renderFields(fields);
}

function stateOf(rotation: CaRotation): string {
  switch (rotation.phase) {
    case "spreading":
      return `agents learn to trust the new CA, since ${isoOf(rotation.startedAt)} by ${rotation.startedBy}`;
    case "switched":
      return `certificates of the new CA are presented, since ${isoOf(rotation.switchedAt)} by ${rotation.switchedBy}`;
    default:
      return `${rotation.phase} at ${isoOf(rotation.endedAt)} by ${rotation.endedBy}`;
  }
}

const behindShown = 20;

function gateOf(gate: CaGate): readonly (readonly [string, string])[] {
  const { agents, trusting, certified, behind, expired, oldTokenIds } = gate;
  const more = behind.length > behindShown ? ` and ${behind.length - behindShown} more` : "";
  return [
    ["trust the new CA", `${trusting} of ${agents} agents`],
    ["use certificates of it", `${certified} of ${agents} agents`],
    ...(behind.length === 0
      ? []
      : [["not ready", `${behind.slice(0, behindShown).join(", ")}${more}`] as const]),
    ...(expired === 0
      ? []
      : [["expired", `${countOf(expired, "agent")}, which enrol again anyhow`] as const]),
    ...(oldTokenIds.length === 0
      ? []
      : [
          ["tokens of the old CA", `${oldTokenIds.slice(0, behindShown).join(", ")}: make new ones`] as const,
        ]),
  ];
}

function nextSteps({ rotation, gate }: GetCaResponse): readonly string[] {
  if (rotation === undefined || gate === undefined) return [];
  if (gate.behind.length > 0) {
    const meanwhile =
      rotation.phase === "switched" ? "Agents fetch their certificates within ten minutes. " : "";
    return [
      `${meanwhile}Those that are not ready need to be connected; revoke or retire those that are gone.`,
    ];
  }
  return rotation.phase === "spreading"
    ? ["Every agent trusts both. Next: fleetctl trust ca switch"]
    : ["Every agent has a certificate of the new CA. Next: fleetctl trust ca finish"];
}
