import type { Identity } from "#proto/fleet/v1/auth";
import type { AlertGroup } from "#proto/fleet/v1/alert_group";
import { takeStep } from "../api/alerts.ts";
import { may } from "../view/may.ts";
import { groupMatchers } from "../view/match.ts";
import { stepsFor, type OfferedStep } from "../view/alert-group.ts";
import { nounText } from "../view/quantity.ts";
import { Confirm } from "./dialog.tsx";
import { SilenceForm } from "./silence-form.tsx";

/** What somebody is about to do with groups, as they were when it was chosen. */
export interface GroupAct {
  readonly groups: readonly AlertGroup[];
  /** Absent for a silence. */
  readonly offered?: OfferedStep;
}

/** What may be said of some groups by who looks; nothing for whom the server would refuse it. */
export function GroupSteps({
  groups,
  identity,
  onAct,
}: {
  readonly groups: readonly AlertGroup[];
  readonly identity: Identity;
  readonly onAct: (act: GroupAct) => void;
}) {
  if (!may(identity, "operate")) return undefined;
  return (
    <>
      {stepsFor(groups.map(({ state }) => state)).map((offered) => (
        <button
          key={offered.step}
          type="button"
          className="button"
          onClick={() => onAct({ groups, offered })}
        >
          {offered.verb}
        </button>
      ))}
      <button type="button" className="button" onClick={() => onAct({ groups })}>
        Silence
      </button>
    </>
  );
}

/**
 * Asks before it is done. It stands apart from the groups on the page: these are read anew every few seconds, and whoever
 * writes keeps what is written whatever comes.
 */
export function GroupDialog({
  act: { groups, offered },
  onDone,
  onClose,
}: {
  readonly act: GroupAct;
  /** Something was done; with these groups where it was a step. */
  readonly onDone?: (stepped: readonly AlertGroup[]) => void;
  readonly onClose: () => void;
}) {
  if (offered === undefined) {
    return <SilenceForm matchers={groupMatchers(groups)} onDone={() => onDone?.([])} onClose={onClose} />;
  }
  const { step, verb, consequence } = offered;
  const what = groups.length === 1 ? `"${groups[0]?.rule ?? ""}"` : nounText(groups.length, "group");
  const run = async (note: string) => {
    await takeStep(step, groups, note);
    onDone?.(groups);
  };
  const action = {
    title: `${verb} ${what}`,
    consequence,
    verb,
    isDangerous: false,
    reasonLabel: "Note (may stay empty)",
    run,
  };
  return <Confirm action={action} onClose={onClose} />;
}
