import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type AuditEntry, AuditService, ListAuditResponseSchema } from "#proto/fleet/v1/audit";
import { alertRangeFlags, timeFrom } from "../../alert-flags.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { countFlag, listFlag, switchFlag, valuesOf } from "../../flags.ts";
import { type Column, renderTable } from "../../output/table.ts";
import { pages } from "../../pages.ts";
import { isoOf, labelsOf } from "../../views.ts";

export default class AuditList extends FleetCommand {
  static override summary = "List who did what, newest first.";
  static override description =
    "Shows entries as the server stores them; whether they are what was written is for audit verify. Needs role admin.";
  static override examples = [
    {
      description: "What one person did in the last week.",
      command: "<%= config.bin %> <%= command.id %> --actor ada --since 7d",
    },
    {
      description: "Who tried what they may not do.",
      command: "<%= config.bin %> <%= command.id %> --refused -o wide",
    },
  ];
  static override flags = {
    since: alertRangeFlags.since,
    until: alertRangeFlags.until,
    actor: listFlag(
      "actor",
      "Only what these did: names or ids of API tokens, join tokens or agents.",
      "NAME",
    ),
    method: listFlag("method", "Only these methods, for example RolloutService/PauseRollout.", "METHOD"),
    target: listFlag("target", "Only what was done to these.", "TARGET"),
    refused: switchFlag("refused", "Only what was refused."),
    limit: countFlag("limit", "At most so many; 50 if not given.", 1, 100_000),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(AuditList);
    const limit = flags.limit ?? 50;
    const now = this.screen.now();
    const since = timeFrom(flags.since, "--since", now);
    const until = timeFrom(flags.until, "--until", now);
    const filter = {
      actors: valuesOf(flags.actor),
      methods: valuesOf(flags.method),
      targets: valuesOf(flags.target),
      refused: flags.refused,
      ...(since === undefined ? {} : { since: timestampFromMs(since) }),
      ...(until === undefined ? {} : { until: timestampFromMs(until) }),
    };
    const service = await this.client(AuditService, flags);
    const entries: AuditEntry[] = [];
    const get = (pageToken: string) =>
      service.listAudit({ filter, pageToken, pageSize: Math.min(limit, 500) });
    let nextPageToken = "";
    for await (const page of pages(get)) {
      entries.push(...page.entries);
      nextPageToken = page.nextPageToken;
      if (entries.length >= limit) break;
    }
    const answer = create(ListAuditResponseSchema, { entries: entries.slice(0, limit) });
    this.answer(flags.output, ListAuditResponseSchema, answer, (wide) =>
      answer.entries.length === 0 ? [] : renderTable(answer.entries, columns, { wide }),
    );
    if (answer.entries.length === 0) this.talk("No entry matches.");
    else if (nextPageToken !== "" || entries.length > limit) {
      this.talk(`There are more: --limit ${limit * 10}`);
    }
  }
}

const columns: readonly Column<AuditEntry>[] = [
  { title: "ROW", align: "right", cell: (entry) => String(entry.sequence) },
  { title: "TIME", cell: (entry) => isoOf(entry.time) },
  { title: "ACTOR", cell: actorOf },
  { title: "METHOD", cell: (entry) => entry.method.replace(/^\w+Service\//, "") },
  { title: "TARGET", cell: (entry) => entry.target },
  { title: "OUTCOME", cell: (entry) => entry.outcome },
  { title: "ROLE", wide: true, cell: (entry) => entry.actor?.role ?? "" },
  { title: "SERVER", wide: true, cell: (entry) => entry.server },
  { title: "REQUEST", wide: true, cell: (entry) => labelsOf(entry.request) },
  { title: "WHY", wide: true, cell: (entry) => entry.why },
];

function actorOf({ actor }: AuditEntry): string {
  if (actor === undefined) return "";
  return actor.name === "" ? [actor.kind, actor.id].filter((part) => part !== "").join(" ") : actor.name;
}
