import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Response, ListResponsesResponseSchema, ResponseService } from "#proto/fleet/v1/response";
import { FleetCommand } from "../../fleet-command.ts";
import {
  countFlag,
  durationFlag,
  listFlag,
  selectorFlags,
  selectorFrom,
  textFlag,
  valuesOf,
} from "../../flags.ts";
import { type Column, renderTable } from "../../output/table.ts";
import type { Tone } from "../../output/text.ts";
import { pages } from "../../pages.ts";
import { isoOf } from "../../views.ts";

export default class ResponseList extends FleetCommand {
  static override summary = "List what agents did about alerts, newest first.";
  static override description =
    "Dry runs and what was denied are listed too, with the reason. Nothing is done by this command.";
  static override examples = [
    {
      description: "What was really done in production within a day.",
      command: "<%= config.bin %> <%= command.id %> --environment production --outcome done --since 24h",
    },
    {
      description: "What was done about one alert.",
      command: "<%= config.bin %> <%= command.id %> --alert 3f0c... -o json",
    },
  ];
  static override flags = {
    ...selectorFlags,
    alert: textFlag("alert", "Only about the alert of this id.", "ID"),
    outcome: listFlag(
      "outcome",
      "Only what ended so: done, dry-run, denied, skipped, failed, dropped or unknown.",
      "OUTCOME",
    ),
    since: durationFlag("since", "Only what the server heard of within so long."),
    limit: countFlag("limit", "At most so many; 50 if not given.", 1, 100_000),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(ResponseList);
    const limit = flags.limit ?? 50;
    const service = await this.client(ResponseService, flags);
    const from = flags.since === undefined ? undefined : this.screen.now() - flags.since * 1000;
    const request = {
      selector: selectorFrom(flags),
      alertId: flags.alert ?? "",
      outcomes: [...valuesOf(flags.outcome)],
      ...(from === undefined ? {} : { since: timestampFromMs(from) }),
      pageSize: Math.min(limit, 500),
    };
    const responses: Response[] = [];
    for await (const page of pages((pageToken: string) => service.listResponses({ ...request, pageToken }))) {
      responses.push(...page.responses);
      if (responses.length >= limit) break;
    }
    const answer = create(ListResponsesResponseSchema, { responses: responses.slice(0, limit) });
    const { paint } = this.screen;
    this.answer(flags.output, ListResponsesResponseSchema, answer, (wide) =>
      answer.responses.length === 0 ? [] : renderTable(answer.responses, columns, { wide, paint }),
    );
    if (answer.responses.length === 0) {
      this.talk("No response matches. Which rules have any, and who permits them: docs/response.md");
    }
  }
}

const columns: readonly Column<Response>[] = [
  { title: "TIME", cell: ({ decidedAt }) => isoOf(decidedAt) },
  { title: "CLUSTER", cell: ({ clusterName }) => clusterName },
  { title: "RESPONSE", cell: ({ response }) => response },
  { title: "ACTION", cell: ({ action }) => action },
  { title: "POD", cell: ({ namespace, pod }) => (pod === "" ? "" : `${namespace}/${pod}`) },
  { title: "OUTCOME", cell: ({ outcome }) => outcome, tone: ({ outcome }) => toneOf(outcome) },
  { title: "WHY", cell: ({ why }) => why },
  { title: "RULE", wide: true, cell: ({ rule }) => rule },
  { title: "ALERT", wide: true, cell: ({ alertId }) => alertId },
];

function toneOf(outcome: string): Tone | undefined {
  if (outcome === "done") return "good";
  return ["failed", "dropped", "unknown"].includes(outcome) ? "bad" : undefined;
}
