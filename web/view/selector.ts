import type { MessageInitShape } from "@bufbuild/protobuf";
import { Requirement_Operator as Operator, type SelectorSchema } from "#proto/fleet/v1/common";

type Selector = MessageInitShape<typeof SelectorSchema>;
type Requirement = NonNullable<NonNullable<Selector["requirements"]>[number]>;

/** What stands in the filter of a list: labels for the server, and words that a name holds. */
export interface Filter {
  readonly selector: { readonly requirements: readonly Requirement[] };
  readonly words: readonly string[];
  /** A term that is neither, for the person who typed it. */
  readonly problem: string;
}

const keyPattern = "[A-Za-z0-9_][A-Za-z0-9_./-]*";
const term = new RegExp(
  `^(?:(?<notExists>!(?<k1>${keyPattern}))|(?<k2>${keyPattern})\\s*(?<op>!=|==|=)\\s*(?<value>[\\w.-]*)|(?<k3>${keyPattern})\\s+(?<set>in|notin)\\s*\\((?<values>[^()]*)\\)|(?<k4>${keyPattern}))$`,
);

/**
 * Reads what fleetctl reads after -l, with commas: key=value, key!=value, key in (a,b), key notin (a,b), !key. A bare word
 * looks for names here, which is what people mean who type one.
 */
export function parseFilter(text: string): Filter {
  const requirements: Requirement[] = [];
  const words: string[] = [];
  for (const part of splitTerms(text)) {
    const found = term.exec(part)?.groups;
    if (found === undefined) return { selector: { requirements }, words, problem: problemOf(part) };
    const requirement = requirementOf(found);
    if (requirement === undefined) words.push(part.toLowerCase());
    else requirements.push(requirement);
  }
  return { selector: { requirements }, words, problem: "" };
}

function problemOf(part: string): string {
  return `"${part.slice(0, 40)}" is neither part of a name nor a label: region=eu, team in (a,b), !tier`;
}

function requirementOf(found: Readonly<Record<string, string | undefined>>): Requirement | undefined {
  const { k1, k2, op, value = "", k3, set, values = "" } = found;
  if (k1 !== undefined) return { key: k1, operator: Operator.NOT_EXISTS, values: [] };
  if (k2 !== undefined) {
    return { key: k2, operator: op === "!=" ? Operator.NOT_IN : Operator.IN, values: [value] };
  }
  if (k3 === undefined) return undefined;
  const all = values.split(",").map((each) => each.trim());
  return { key: k3, operator: set === "notin" ? Operator.NOT_IN : Operator.IN, values: all };
}

/** Commas and blanks between terms, but not those inside brackets or around operators. */
function splitTerms(text: string): readonly string[] {
  const joined = text
    .replaceAll(/\s*(!=|==|=)\s*/g, "$1")
    .replaceAll(/\s+(in|notin)\s*\(([^()]*)\)/g, (_, set: string, inner: string) => {
      return `\u0001${set}\u0001(${inner.replaceAll(",", "\u0002").replaceAll(/\s+/g, "")})`;
    });
  return joined
    .split(/[,\s]+/)
    .map((part) => part.replaceAll("\u0001", " ").replaceAll("\u0002", ",").trim())
    .filter((part) => part !== "");
}

/** A selector as people write it. */
export function selectorText(
  selector: { readonly requirements: readonly Requirement[] } | undefined,
): string {
  return (selector?.requirements ?? []).map(requirementText).join(",");
}

function requirementText({ key = "", operator, values = [] }: Requirement): string {
  if (operator === Operator.NOT_EXISTS) return `!${key}`;
  if (operator === Operator.EXISTS) return key;
  const isNot = operator === Operator.NOT_IN;
  if (values.length === 1) return `${key}${isNot ? "!=" : "="}${values[0]}`;
  return `${key} ${isNot ? "notin" : "in"} (${values.join(",")})`;
}
