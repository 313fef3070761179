import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import {
  type AlertGroup,
  type AlertGroupRefSchema,
  AlertGroupService,
  ListAlertGroupsResponseSchema,
} from "#proto/fleet/v1/alert_group";
import { groupStateText } from "./alert-group-view.ts";
import { present } from "./answer.ts";
import { misused } from "./failure.ts";
import type { Wanted } from "./connection.ts";
import { type Format, FleetCommand } from "./fleet-command.ts";
import { requiredArg, textFlag } from "./flags.ts";
import { clean } from "./output/text.ts";

export interface AlertStepRequest {
  readonly groups: MessageInitShape<typeof AlertGroupRefSchema>[];
  readonly note: string;
}

const groupsMax = 100;

export const groupArgs = { group: requiredArg("Ids of groups, as alerts groups shows them.") };
export const noteFlags = { note: textFlag("note", "Why; kept in the history of each group.", "TEXT") };

/** What the commands share that take one step with some groups: all of them or none. */
export abstract class AlertStepCommand extends FleetCommand {
  protected async takeStep(
    argv: readonly unknown[],
    flags: Wanted & { readonly output: Format; readonly note?: string | undefined },
    step: (
      service: Client<typeof AlertGroupService>,
      request: AlertStepRequest,
    ) => Promise<{ readonly groups: AlertGroup[] }>,
  ): Promise<void> {
    const ids = [...new Set(argv.map(String))];
    const odd = ids.find((id) => !/^gr_[0-9a-z]{1,32}$/.test(id));
    if (odd !== undefined) {
      throw misused(`"${odd.slice(0, 80)}" is no id of a group`, "fleetctl alerts groups");
    }
    if (ids.length > groupsMax) throw misused(`At most ${groupsMax} groups at once`, "fewer of them");
    const service = await this.client(AlertGroupService, flags);
    const seen: AlertGroup[] = [];
    for (const groupId of ids) seen.push(present((await service.getAlertGroup({ groupId })).group, "group"));
    const refs = seen.map(({ id, generation }) => ({ id, generation }));
    const { groups } = await step(service, { groups: refs, note: flags.note ?? "" });
    const answer = create(ListAlertGroupsResponseSchema, { groups });
    this.answer(flags.output, ListAlertGroupsResponseSchema, answer, () =>
      groups.map(
        (group) =>
          `${group.id} is ${groupStateText(group)}: ${clean(group.rule)} at ${clean(group.clusterName)}`,
      ),
    );
  }
}
