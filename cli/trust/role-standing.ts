import {
  gatherSignatures,
  lifeOf,
  lifeStage,
  lifeUsed,
  layerOfRole,
  parseMetadata,
  readLayerList,
  readRoot,
  roleNames,
  type Authority,
  type Document,
  type LayerDelegation,
  type Life,
  type LifeStage,
  type RoleName,
} from "#trust";
import { orRefuse } from "./files.ts";

/** A role of root metadata, or that of a layer which targets delegate. */
export type PublishedRole = RoleName | `layer-${string}`;

/** Where the published metadata of a role stands. */
export interface RoleStanding {
  readonly role: PublishedRole;
  readonly version: number;
  readonly life: Life;
  /** The part of its life that is over. */
  readonly used: number;
  readonly stage: LifeStage;
  readonly threshold: number;
  /** Key ids of the present root that signed it, and that did not. */
  readonly signed: readonly string[];
  readonly missing: readonly string[];
}

/** Which stage of a life calls for somebody: from half, from four fifths, or at its end. */
export const alarmStages = {
  "50": ["aging", "expiring", "expired"],
  "80": ["expiring", "expired"],
  "100": ["expired"],
} as const satisfies Record<string, readonly LifeStage[]>;

/** Judges what is published by what the root among it says. */
export function standingOf(
  metadata: Readonly<Partial<Record<RoleName, Uint8Array>>> & { readonly root: Uint8Array },
  now: Date,
): readonly RoleStanding[] {
  const root = orRefuse(readRoot(metadata.root));
  return roleNames.flatMap((role) => {
    const bytes = metadata[role];
    if (bytes === undefined) return [];
    return [standing(role, orRefuse(parseMetadata(role, bytes)), root.roles[role], now)];
  });
}

/** The same of the list of a layer, judged by its delegation. */
export function standingOfList(list: Uint8Array, delegation: LayerDelegation, now: Date): RoleStanding {
  const { document } = orRefuse(readLayerList(list, delegation.layer));
  return standing(`layer-${delegation.layer}`, document, delegation.authority, now);
}

function standing(role: PublishedRole, document: Document, authority: Authority, now: Date): RoleStanding {
  const { signed, missing } = gatherSignatures(document, authority);
  const life = lifeOf(document);
  const stage = lifeStage(document.role, life, now);
  const { version } = document;
  const { threshold } = authority;
  return { role, version, life, used: lifeUsed(life, now), stage, threshold, signed, missing };
}

/** What somebody has to do something about, a sentence each. */
export function alarmsOf(standing: readonly RoleStanding[], stages: readonly LifeStage[]): readonly string[] {
  return standing.flatMap(({ role, version, life, used, stage, threshold, signed }) => {
    const alarms: string[] = [];
    if (signed.length < threshold) {
      alarms.push(
        `${role} ${version} has ${signed.length} of the ${threshold} signatures that ${by(role)} demands: ${renewalOf(role)}`,
      );
    }
    if (stages.includes(stage)) {
      const ends = life.ends.toISOString();
      const what =
        stage === "expired"
          ? `expired at ${ends}`
          : `has ${Math.floor(used * 100)} % of its life behind it and expires at ${ends}`;
      alarms.push(`${role} ${version} ${what}: ${renewalOf(role)}`);
    }
    return alarms;
  });
}

const renewal: Readonly<Record<RoleName, string>> = {
  root: "fleetctl trust rotate, trust sign, trust publish",
  targets: "fleetctl bundle sign --renew, then bundle push",
  snapshot: "no server signs it; look at the log of the loop metadata",
  timestamp: "no server signs it; look at the log of the loop metadata",
};

function by(role: PublishedRole): string {
  return layerOfRole(role) === undefined ? "the present root" : "the delegation";
}

function renewalOf(role: PublishedRole): string {
  const known = roleNames.find((each) => each === role);
  if (known !== undefined) return renewal[known];
  const layer = layerOfRole(role) ?? "";
  return `its team: fleetctl bundle sign --layer ${layer} --renew, then bundle push --layer ${layer}`;
}
