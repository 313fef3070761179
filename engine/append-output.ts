import type { ExtraField } from "./ruleset.ts";

/** Text and fields that configuration adds to the outputs of rules. */
export interface AppendOutput {
  /** Which rules are meant; without it all of them. A rule must have each tag. */
  readonly match?: { readonly rule?: string; readonly source?: string; readonly tags?: readonly string[] };
  /** An output that is put behind the rule's own, after a blank. */
  readonly extraOutput?: string;
  /**
   * Fields that only `output_fields` lists: by name as in `ka.verb` (the value keeps its type), or a name of one's own
   * with an output, as in `{ who: "%ka.user.name" }` (a text).
   */
  readonly extraFields?: readonly (string | Readonly<Record<string, string>>)[];
  /** Whether the fields that suggest themselves are put behind the output: all `static.*`. */
  readonly suggestedOutput?: boolean;
}

/** What is known of a rule when its output is put together. */
interface Described {
  readonly name: string;
  readonly source: string;
  readonly tags: readonly string[];
  readonly output: string;
}

/** Puts together the output of a rule and the fields its alerts list besides, in the order of the configuration. */
export function withAppended(
  rule: Described,
  all: readonly AppendOutput[],
  suggested: readonly string[],
): { readonly output: string; readonly extraFields: readonly ExtraField[] } {
  const meant = all.filter((one) => isMeant(one, rule));
  const texts = meant.flatMap(({ extraOutput = "", suggestedOutput }) => [
    ...(extraOutput === "" ? [] : [extraOutput]),
    ...(suggestedOutput === true ? suggested.map((name) => `${name.replaceAll(".", "_")}=%${name}`) : []),
  ]);
  // A later entry for the same key wins.
  const fields = new Map(meant.flatMap(({ extraFields = [] }) => extraFields.flatMap(asFields)));
  return { output: [rule.output, ...texts].join(" "), extraFields: [...fields.values()] };
}

function isMeant({ match = {} }: AppendOutput, { name, source, tags }: Described): boolean {
  if ((match.rule ?? "") !== "" && match.rule !== name) return false;
  if ((match.source ?? "") !== "" && match.source !== source) return false;
  return (match.tags ?? []).every((tag) => tags.includes(tag));
}

function asFields(
  field: string | Readonly<Record<string, string>>,
): readonly (readonly [string, ExtraField])[] {
  if (typeof field === "string") return [[field, { key: field, format: `%${field}`, isRaw: true }]];
  return Object.entries(field).map(([key, format]) => [key, { key, format, isRaw: false }]);
}
