import {
  gatherSignatures,
  lifeOf,
  lifeStage,
  lifeUsed,
  parseMetadata,
  readRoot,
  roleNames,
  type Life,
  type LifeStage,
  type RoleName,
} from "#trust";
import { orRefuse } from "./files.ts";

/** Where the published metadata of a role stands. */
export interface RoleStanding {
  readonly role: RoleName;
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
    const document = orRefuse(parseMetadata(role, bytes));
    const authority = root.roles[role];
    const { signed, missing } = gatherSignatures(document, authority);
    const life = lifeOf(document);
    return [
      {
        role,
        version: document.version,
        life,
        used: lifeUsed(life, now),
        stage: lifeStage(role, life, now),
        threshold: authority.threshold,
        signed,
        missing,
      },
    ];
  });
}

/** What somebody has to do something about, a sentence each. */
export function alarmsOf(standing: readonly RoleStanding[], stages: readonly LifeStage[]): readonly string[] {
  return standing.flatMap(({ role, version, life, used, stage, threshold, signed }) => {
    const alarms: string[] = [];
    if (signed.length < threshold) {
      alarms.push(
        `${role} ${version} has ${signed.length} of the ${threshold} signatures that the present root demands: ${renewal[role]}`,
      );
    }
    if (stages.includes(stage)) {
      const ends = life.ends.toISOString();
      const what =
        stage === "expired"
          ? `expired at ${ends}`
          : `has ${Math.floor(used * 100)} % of its life behind it and expires at ${ends}`;
      alarms.push(`${role} ${version} ${what}: ${renewal[role]}`);
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
