import { create } from "@bufbuild/protobuf";
import {
  AlertGroupService,
  AlertGroupState,
  ListAlertGroupsResponseSchema,
} from "#proto/fleet/v1/alert_group";
import { alertFilterFrom, alertRangeFlags } from "../../alert-flags.ts";
import { groupColumns } from "../../alert-group-view.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { countFlag, envOf } from "../../flags.ts";
import { Flags } from "../../oclif.ts";
import { lookBack, stoppedText } from "../../look-back.ts";
import { renderTable } from "../../output/table.ts";

const { OPEN, ACKNOWLEDGED, RESOLVED } = AlertGroupState;

/** What `--state` asks the server for. */
const wishes = {
  current: { states: [OPEN, ACKNOWLEDGED], silenced: false },
  open: { states: [OPEN], silenced: false },
  acknowledged: { states: [ACKNOWLEDGED] },
  resolved: { states: [RESOLVED] },
  silenced: { silenced: true },
  all: {},
} as const;

export default class AlertsGroups extends FleetCommand {
  static override summary = "List alerts in groups of one rule, cluster and actor.";
  static override description =
    "Without --state it leaves out what is resolved and what is silenced. Matchers see the newest alert of a group; --since and --until are for its time.";
  static override examples = [
    {
      description: "What waits for somebody, in production.",
      command: "<%= config.bin %> <%= command.id %> -l environment=production --state open",
    },
    {
      description: "Everything that one service account did.",
      command: `<%= config.bin %> <%= command.id %> --state all --match 'actor=~"system:serviceaccount:ops:.*"'`,
    },
  ];
  static override flags = {
    ...alertRangeFlags,
    state: Flags.option({
      summary: "Which groups; current is open or acknowledged, and not silenced.",
      options: ["current", "open", "acknowledged", "resolved", "silenced", "all"] as const,
      default: "current" as const,
      env: envOf("state"),
    })(),
    limit: countFlag("limit", "At most so many; 50 if not given.", 1, 10_000),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(AlertsGroups);
    const limit = flags.limit ?? 50;
    const now = this.screen.now();
    const wish = {
      filter: alertFilterFrom(flags, now),
      pageSize: Math.min(limit, 500),
      ...wishes[flags.state],
    };
    const service = await this.client(AlertGroupService, flags);
    const get = (pageToken: string) =>
      service.listAlertGroups({ ...wish, states: [...("states" in wish ? wish.states : [])], pageToken });
    const found = await lookBack(get, (page) => page.groups, {
      limit,
      noun: "group",
      say: (line) => this.talk(line),
      now: () => this.screen.now(),
    });
    const { isMore, stopped } = found;
    const answer = create(ListAlertGroupsResponseSchema, {
      groups: [...found.items],
      ...(stopped?.at === undefined ? {} : { lookedBackTo: stopped.at }),
    });
    const { paint } = this.screen;
    this.answer(flags.output, ListAlertGroupsResponseSchema, answer, (wide) =>
      answer.groups.length === 0 ? [] : renderTable(answer.groups, groupColumns(now), { wide, paint }),
    );
    if (stopped !== undefined) {
      this.talk(`${stoppedText(stopped)}: narrow it down`);
      if (stopped.failure !== undefined) throw stopped.failure;
    } else if (answer.groups.length === 0) {
      this.talk("No group of alerts matches.");
      await this.talkOfNoCluster(wish.filter.selector, flags);
    } else if (isMore) this.talk(`There are more: --limit ${limit * 10}`);
  }
}
