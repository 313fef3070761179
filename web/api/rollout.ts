import { create } from "@bufbuild/protobuf";
import { createConnectQueryKey, useQuery } from "@connectrpc/connect-query";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { useQuery as usePlan, type UseQueryResult } from "@tanstack/react-query";
import { useEffect } from "react";
import {
  GetRolloutResponseSchema,
  RolloutService,
  RolloutState,
  type GetRolloutResponse,
  type PlanRolloutResponse,
  type Rollout,
} from "#proto/fleet/v1/rollout";
import type { Decision } from "../view/decisions.ts";
import { queryClient } from "./query-client.ts";
import { transport } from "./transport.ts";

const rollouts = createClient(RolloutService, transport);
const { getRollout } = RolloutService.method;

function keep(rollout: Rollout): void {
  const queryKey = createConnectQueryKey({
    schema: getRollout,
    input: { rolloutId: rollout.id },
    transport,
    cardinality: "finite",
  });
  queryClient.setQueryData(queryKey, create(GetRolloutResponseSchema, { rollout }));
}

/** States in which something happens by itself. */
const moving: readonly RolloutState[] = [
  RolloutState.RUNNING,
  RolloutState.ROLLING_BACK,
  RolloutState.SCHEDULED,
  RolloutState.AWAITING_APPROVAL,
];

const slowMs = 5_000;

/** A rollout as it moves: told by the server while something happens, and looked at now and then besides. */
export function useRollout(rolloutId: string): UseQueryResult<GetRolloutResponse, ConnectError> {
  const answer = useQuery(getRollout, { rolloutId }, { refetchInterval: slowMs });
  const state = answer.data?.rollout?.state;
  const isMoving = state !== undefined && moving.includes(state);
  useEffect(() => {
    if (!isMoving) return undefined;
    const controller = new AbortController();
    void watch(rolloutId, controller.signal);
    return () => controller.abort();
  }, [rolloutId, isMoving]);
  return answer;
}

async function watch(rolloutId: string, signal: AbortSignal): Promise<void> {
  try {
    for await (const { rollout } of rollouts.watchRollout({ rolloutId }, { signal })) {
      if (rollout !== undefined && !signal.aborted) keep(rollout);
    }
  } catch {
    // Looking now and then goes on, and shows what is wrong.
  }
}

const planMs = 60_000;

/**
 * The plan of a rollout that has not begun, made anew by the server as it does when it is approved and when it begins: what people who
 * have to say whether it may begin look at. Never there for one that has begun, or that is seen in part.
 */
export function usePendingPlan(rollout: Rollout | undefined): UseQueryResult<PlanRolloutResponse> {
  const { id: rolloutId = "", planDigest = "", state = RolloutState.UNSPECIFIED } = rollout ?? {};
  return usePlan({
    queryKey: ["pending plan", rolloutId, planDigest, state],
    queryFn: ({ signal }) => rollouts.planRollout({ rolloutId }, { signal }),
    enabled: rollout !== undefined && rollout.pending && !rollout.partial,
    refetchInterval: planMs,
  });
}

/** A rollout as somebody saw it who decides about it. */
export interface Subject extends Pick<Rollout, "id" | "generation" | "planDigest"> {
  /** The digest of the plan that was on the screen; empty when none was. */
  readonly shown: string;
}

/** What a person may have happen to a rollout. Each is about what was seen: the server refuses when it changed since. */
export const decide = {
  pause: ({ id: rolloutId, generation }) => done(rollouts.pauseRollout({ rolloutId, generation })),
  resume: ({ id: rolloutId, generation, shown: planDigest }) =>
    done(rollouts.resumeRollout({ rolloutId, generation, planDigest })),
  abort: ({ id: rolloutId, generation }) => done(rollouts.abortRollout({ rolloutId, generation })),
  undo: ({ id: rolloutId, generation }) => done(rollouts.undoRollout({ rolloutId, generation })),
  approve: ({ id: rolloutId, shown: planDigest }, reason) =>
    done(rollouts.approveRollout({ rolloutId, planDigest, reason })),
  "pause-overtaken": (subject) => done(pauseOvertaken(subject)),
  reject: ({ id: rolloutId, planDigest }, reason) =>
    done(rollouts.rejectRollout({ rolloutId, planDigest, reason })),
} as const satisfies Readonly<Record<Decision, (subject: Subject, reason: string) => Promise<void>>>;

/**
 * Has a rollout paused whose plan has changed while it waits: the server does that when somebody approves the old plan, and refuses the
 * approval. Looked at anew just before, because that call would approve a plan that is the old one again.
 */
async function pauseOvertaken({ id: rolloutId, planDigest }: Subject): Promise<void> {
  const { plan } = await rollouts.planRollout({ rolloutId });
  if (plan?.digest === planDigest) {
    await queryClient.invalidateQueries();
    throw new ConnectError("Its plan is again what it was: nothing was done. Look at it again", Code.Aborted);
  }
  const refusal = await rollouts.approveRollout({ rolloutId, planDigest, reason: "" }).then(
    () => undefined,
    (error: unknown) => ConnectError.from(error),
  );
  const { rollout } = await rollouts.getRollout({ rolloutId });
  if (rollout?.state === RolloutState.PAUSED) return;
  await queryClient.invalidateQueries();
  throw refusal ?? new ConnectError(approvedText, Code.Aborted);
}

const approvedText =
  "Its plan was again what it was just then, and has your approval: reject or abort the rollout if it shall not begin";

/** What is shown may have changed with it. */
async function done(call: Promise<unknown>): Promise<void> {
  await call;
  await queryClient.invalidateQueries();
}
