import { lifeStage, roleNames, type Life, type LifeStage, type RoleName } from "#trust";
import type { Conditions } from "./conditions.ts";

type Alarm = Exclude<LifeStage, "fresh">;
const alarms = ["aging", "expiring", "expired"] as const satisfies readonly Alarm[];

/** What is wrong with the age of the metadata that is held: one condition per role, of the stage that it is in. */
export function noteLives(
  lives: Readonly<Partial<Record<RoleName, Life>>>,
  conditions: Conditions,
  now: Date,
): void {
  for (const role of roleNames) {
    const life = lives[role];
    const stage = life === undefined ? "fresh" : lifeStage(role, life, now);
    for (const alarm of alarms) {
      const code = `trust/${alarm} ${role}`;
      if (life !== undefined && alarm === stage) conditions.raise(code, messageOf(role, alarm, life));
      else conditions.clear(code);
    }
  }
}

function messageOf(role: RoleName, alarm: Alarm, { ends }: Life): string {
  const signer = role === "root" || role === "targets" ? "its signers have" : "the server has";
  const when = ends.toISOString();
  if (alarm === "expired") {
    return `The ${role} metadata expired at ${when}: what runs goes on, nothing new starts until ${signer} signed it anew`;
  }
  const over = alarm === "expiring" ? "More than 80 %" : "More than half";
  return `${over} of the life of the ${role} metadata is over; it expires at ${when}: ${signer} to sign it anew`;
}
