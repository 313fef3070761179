import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  type AlertGroup,
  type AlertGroupAct,
  AlertGroupActSchema,
  type AlertGroupService,
  AlertGroupState,
} from "#proto/fleet/v1/alert_group";
import {
  type AlertSilence,
  AlertSilenceSchema,
  type AlertSilenceService,
} from "#proto/fleet/v1/alert_silence";

/** The groups and silences of the fake fleet. What a filter says is remembered and not applied, but for states. */
export class FakeAlerts {
  readonly groups: AlertGroup[] = [];
  readonly acts = new Map<string, AlertGroupAct[]>();
  readonly silences: AlertSilence[] = [];
  /** The matchers of the last list of groups. */
  matchers = "";

  groupService(): ServiceImpl<typeof AlertGroupService> {
    const step =
      (state: AlertGroupState, what: string) =>
      (request: { groups: { id: string; generation: bigint }[]; note: string }) => ({
        groups: request.groups.map((ref) => this.#step(ref, state, what, request.note)),
      });
    return {
      listAlertGroups: ({ filter, states, silenced }) => {
        this.matchers = filter?.matchers ?? "";
        const chosen = this.groups
          .filter(({ state }) => states.length === 0 || states.includes(state))
          .filter(
            ({ silencedUntil }) => silenced === undefined || (silencedUntil !== undefined) === silenced,
          );
        return { groups: chosen };
      },
      getAlertGroup: ({ groupId }) => ({
        group: this.#find(groupId),
        samples: [{ alertId: "1", time: timestampFromMs(0), output: "exec by alice" }],
        acts: this.acts.get(groupId) ?? [],
        fields: '{"ka.user.name":"alice"}',
      }),
      acknowledgeAlertGroups: step(AlertGroupState.ACKNOWLEDGED, "acknowledge"),
      resolveAlertGroups: step(AlertGroupState.RESOLVED, "resolve"),
      reopenAlertGroups: step(AlertGroupState.OPEN, "reopen"),
    };
  }

  silenceService(): ServiceImpl<typeof AlertSilenceService> {
    return {
      listAlertSilences: ({ includeEnded }) => ({
        silences: this.silences.filter(({ removedAt }) => includeEnded || removedAt === undefined),
      }),
      addAlertSilence: ({ matchers, reason, expiresAt }) => {
        const silence = create(AlertSilenceSchema, {
          id: `si_${this.silences.length}`,
          matchers,
          reason,
          author: "test",
          groups: 1n,
          ...(expiresAt === undefined ? {} : { expiresAt }),
        });
        this.silences.unshift(silence);
        return { silence };
      },
      removeAlertSilence: ({ id }) => {
        const silence = this.silences.find((each) => each.id === id);
        if (silence === undefined) throw new ConnectError(`No such silence: "${id}"`, Code.NotFound);
        Object.assign(silence, { removedAt: timestampFromMs(Date.now()), removedBy: "test" });
        return { silence };
      },
    };
  }

  #find(id: string): AlertGroup {
    const group = this.groups.find((each) => each.id === id);
    if (group === undefined) throw new ConnectError(`No such alert group: "${id}"`, Code.NotFound);
    return group;
  }

  #step(
    ref: { id: string; generation: bigint },
    state: AlertGroupState,
    what: string,
    note: string,
  ): AlertGroup {
    const group = this.#find(ref.id);
    if (group.generation !== ref.generation) throw new ConnectError("The alert group changed", Code.Aborted);
    Object.assign(group, { state, note, stateBy: "test", generation: group.generation + 1n });
    const act = create(AlertGroupActSchema, { who: "test", what, note, at: timestampFromMs(Date.now()) });
    this.acts.set(ref.id, [act, ...(this.acts.get(ref.id) ?? [])]);
    return group;
  }
}
