import type { AlertFields } from "./alert-file.ts";

/** Fields that say who acts; the server or the kernel vouches for them, the client can not choose them. */
export const whoRank = 0;

const images = "(?:c|initC|ephemeralC)ontainers?\\.image(?:\\.repository)?";

/** The more telling a field is, the lower its rank; fields that do not stand here are never proposed. */
const ranks: readonly (readonly [RegExp, number])[] = [
  [new RegExp(`^ka\\.(?:user\\.name|impuser\\.name|req\\.(?:pod\\.)?${images})$`), whoRank],
  [/^(?:user\.(?:name|loginname)|proc\.(?:name|exe|exepath|pname)|container\.image\.repository)$/, whoRank],
  [/^(?:ka\.target\.namespace|k8s\.ns\.name)$/, 1],
  [/^(?:ka\.target\.name|fd\.name|fd\.sip\.name|k8s\.pod\.name)$/, 2],
  [/^ka\.target\.resource$/, 3],
  [/^ka\.target\.subresource$/, 4],
  [/^ka\.verb$/, 5],
  [/^ka\.req\.(?:binding\.role|pod\.volumes\.hostpath|role\.rules\.resources|service\.type)$/, 6],
  [/^(?:fd\.(?:sport|directory|filename)|proc\.cmdline)$/, 6],
];

/** How telling a field is, from 0 on; infinite for one that may not stand in a proposal. */
export function rankOf(field: string): number {
  return ranks.find(([pattern]) => pattern.test(field))?.[1] ?? Number.POSITIVE_INFINITY;
}

const nobody: ReadonlySet<string> = new Set(["system:anonymous", "system:unauthenticated"]);

/** Whether nobody in particular acted: excusing that would excuse everybody. */
export function isAnonymous(fields: AlertFields): boolean {
  const user = fields["ka.user.name"];
  return typeof user === "string" && nobody.has(user);
}

const valueLengthMax = 200;
const itemsMax = 20;

/** Whether a value can stand in a condition and mean what it says: no quotes, no escapes, no control characters. */
export function canBeExcused(value: string | readonly string[]): boolean {
  if (typeof value !== "string") return value.length <= itemsMax && value.every(canBeExcused);
  // oxlint-disable-next-line no-control-regex -- control characters are what must not be in it
  const isPlain = !/["'\\\u0000-\u001f\u007f]/.test(value);
  return value !== "" && value !== "<NA>" && value.length <= valueLengthMax && isPlain;
}

/** What somebody should think of before excusing this, in a sentence; undefined when nothing. */
export function cautionFor(fields: readonly string[], values: readonly (string | readonly string[])[]) {
  const user = values[fields.indexOf("ka.user.name")];
  if (!fields.some((field) => rankOf(field) === whoRank)) return "It excuses whoever does this.";
  if (typeof user !== "string") return undefined;
  if (!user.startsWith("system:")) return "It excuses a person or a shared login, also when stolen.";
  return fields.length === 1 ? "It excuses this account for everything the rule is about." : undefined;
}
