import { accept, refuse, type Outcome } from "./refusal.ts";

export const alertGroupStates = ["open", "acknowledged", "resolved"] as const;
export type AlertGroupState = (typeof alertGroupStates)[number];
export type AlertGroupStep = "acknowledge" | "resolve" | "reopen";

/** The actor of the group of all actors that came after a cluster had as many groups as are kept apart. */
export const otherActors = "*";
/** The rule and actor of the last group that a cluster gets. */
export const otherRules = "*";

/** What people may do in each state. That an alert opens a resolved group again needs nobody. */
const steps: { readonly [S in AlertGroupState]: Partial<Readonly<Record<AlertGroupStep, AlertGroupState>>> } =
  {
    open: { acknowledge: "acknowledged", resolve: "resolved" },
    acknowledged: { resolve: "resolved", reopen: "open" },
    resolved: { reopen: "open" },
  };

/** The state after a step that a person takes, having seen the given generation. */
export function stepAlertGroup(
  group: { readonly state: AlertGroupState; readonly generation: bigint },
  step: AlertGroupStep,
  seen: bigint,
): Outcome<AlertGroupState> {
  if (group.generation !== seen) return refuse({ kind: "stale", what: "alert group", seen });
  const to = steps[group.state][step];
  return to === undefined
    ? refuse({ kind: "illegal-step", what: "alert group", from: group.state, event: step })
    : accept(to);
}
