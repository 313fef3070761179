import { builtInSources, fieldClasses } from "#engine";
import { misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { textFlag } from "../../flags.ts";
import { type FieldRow, renderFieldRows } from "../../output/rule-fields.ts";

interface Row extends FieldRow {
  /** False for a field that Falco has and this engine can not give. */
  readonly isAvailable: boolean;
}

export default class RulesFields extends FleetCommand {
  static override summary = "List the fields that rules may use, and what they mean.";
  static override description =
    "A field with [INDEX]? may be given the place of one element, one with [KEY] must be given a key, one with [WORD] also takes it behind a point. A comparison with a missing field is false, whatever the operator.";
  static override examples = [
    {
      description: "The fields of Kubernetes audit events.",
      command: "<%= config.bin %> <%= command.id %> --source k8s_audit",
    },
    {
      description: "The names of all list fields.",
      command: `<%= config.bin %> <%= command.id %> -o json | jq -r '.fields[] | select(.list).name'`,
    },
  ];
  static override flags = {
    source: textFlag("source", "Only fields that rules of this event source may use.", "SOURCE"),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(RulesFields);
    const { source } = flags;
    if (source !== undefined && !builtInSources.includes(source)) {
      throw misused(`There is no source "${source}"`, `--source with one of ${builtInSources.join(", ")}`);
    }
    const rows = fieldClasses
      .filter(({ sources }) => source === undefined || sources === undefined || sources.includes(source))
      .flatMap(({ sources, fields }) =>
        fields.map(({ name, type, isList, argument, doc, unavailable }): Row => ({
          name,
          type,
          isList,
          argument,
          sources: sources ?? builtInSources,
          doc,
          isAvailable: unavailable === undefined,
        })),
      );
    this.answerWith(
      flags.output,
      () => ({
        fields: rows.map(({ isList, isAvailable, sources, ...row }) => ({
          ...row,
          list: isList,
          available: isAvailable,
          sources: [...sources],
        })),
      }),
      (wide) => renderFieldRows(rows, wide),
    );
  }
}
