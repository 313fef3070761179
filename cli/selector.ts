import { create } from "@bufbuild/protobuf";
import {
  type Requirement,
  Requirement_Operator,
  RequirementSchema,
  type Selector,
  SelectorSchema,
} from "#proto/fleet/v1/common";

/** A selector, or why and where its text cannot be read. `position` counts characters from 0. */
export type ParsedSelector =
  | { readonly ok: true; readonly requirements: readonly Requirement[] }
  | { readonly ok: false; readonly message: string; readonly position: number };

const textMax = 4096;
const requirementsMax = 32;
const valuesMax = 256;
const keyPattern = /[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?/y;
const valuePattern = /[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?/y;

/**
 * Reads a selector as Kubernetes writes them: `key=value`, `key==value`, `key!=value`, `key in (a,b)`,
 * `key notin (a,b)`, `key`, `!key`, joined by commas. An empty text is a selector without requirements.
 */
export function parseSelector(text: string): ParsedSelector {
  if (text.length > textMax) {
    return { ok: false, message: `it is longer than ${textMax} characters`, position: textMax };
  }
  const reader = new Reader(text);
  try {
    return { ok: true, requirements: readRequirements(reader) };
  } catch (error) {
    if (error instanceof Unreadable) return { ok: false, message: error.message, position: error.position };
    throw error;
  }
}

/** The selector in the words that `-l` takes, for messages. "every cluster" when it has no requirements. */
export function renderSelector(selector: Selector): string {
  const parts = selector.requirements.map(({ key, operator, values }) => {
    if (operator === Requirement_Operator.EXISTS) return key;
    if (operator === Requirement_Operator.NOT_EXISTS) return `!${key}`;
    const not = operator === Requirement_Operator.NOT_IN;
    if (values.length === 1) return `${key}${not ? "!=" : "="}${values[0]}`;
    return `${key} ${not ? "notin" : "in"} (${values.join(",")})`;
  });
  return parts.length === 0 ? "every cluster" : parts.join(",");
}

/** A scope in the same words; "the whole fleet" when it has no requirements. */
export function renderScope(scope: Selector | undefined): string {
  return scope === undefined || scope.requirements.length === 0 ? "the whole fleet" : renderSelector(scope);
}

export function selectorOf(requirements: readonly Requirement[]): Selector {
  return create(SelectorSchema, { requirements: [...requirements] });
}

/** A requirement that a label has one of the values. */
export function requirementIn(key: string, values: readonly string[]): Requirement {
  return create(RequirementSchema, { key, operator: Requirement_Operator.IN, values: [...values] });
}

class Unreadable extends Error {
  readonly position: number;
  constructor(message: string, position: number) {
    super(message);
    this.position = position;
  }
}

/** Walks the text; every method skips blanks first. */
class Reader {
  position = 0;
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  skip(): void {
    while (/\s/.test(this.text[this.position] ?? "")) this.position++;
  }

  atEnd(): boolean {
    this.skip();
    return this.position >= this.text.length;
  }

  take(token: string): boolean {
    this.skip();
    if (!this.text.startsWith(token, this.position)) return false;
    this.position += token.length;
    return true;
  }

  /** A name such as a key or a value, or undefined when there is none here. */
  match(pattern: RegExp): string | undefined {
    this.skip();
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.text)?.[0];
    this.position += found?.length ?? 0;
    return found;
  }

  fail(expected: string): never {
    this.skip();
    const found = this.text[this.position];
    throw new Unreadable(
      found === undefined ? `${expected}, and the selector ends` : `${expected}, not "${found}"`,
      this.position,
    );
  }
}

function readRequirements(reader: Reader): Requirement[] {
  const requirements: Requirement[] = [];
  if (reader.atEnd()) return requirements;
  do {
    if (requirements.length >= requirementsMax) {
      reader.fail(`at most ${requirementsMax} requirements are allowed`);
    }
    requirements.push(readRequirement(reader));
  } while (reader.take(","));
  if (!reader.atEnd()) reader.fail('expected "," or the end');
  return requirements;
}

function readRequirement(reader: Reader): Requirement {
  const build = (key: string, operator: Requirement_Operator, values: string[]) =>
    create(RequirementSchema, { key, operator, values });
  if (reader.take("!")) return build(readKey(reader), Requirement_Operator.NOT_EXISTS, []);
  const key = readKey(reader);
  if (reader.take("!=")) return build(key, Requirement_Operator.NOT_IN, [readValue(reader, "!=")]);
  if (reader.take("==") || reader.take("=")) {
    return build(key, Requirement_Operator.IN, [readValue(reader, "=")]);
  }
  // A word needs a blank before it; "team in (a)" is no label "teamin".
  const isApart = /\s/.test(reader.text[reader.position - 1] ?? "");
  const word = isApart ? reader.match(/(notin|in)\b/y) : undefined;
  if (word !== undefined) {
    return build(
      key,
      word === "in" ? Requirement_Operator.IN : Requirement_Operator.NOT_IN,
      readList(reader, word),
    );
  }
  if (reader.atEnd() || reader.text[reader.position] === ",") {
    return build(key, Requirement_Operator.EXISTS, []);
  }
  return reader.fail(`expected "=", "!=", "in", "notin" or "," after the label "${key}"`);
}

function readKey(reader: Reader): string {
  return reader.match(keyPattern) ?? reader.fail("expected a label");
}

function readValue(reader: Reader, after: string): string {
  return reader.match(valuePattern) ?? reader.fail(`expected a value after "${after}"`);
}

function readList(reader: Reader, word: string): string[] {
  if (!reader.take("(")) reader.fail(`expected "(" after "${word}"`);
  const values: string[] = [];
  do {
    if (values.length >= valuesMax) reader.fail(`at most ${valuesMax} values are allowed`);
    values.push(readValue(reader, values.length === 0 ? "(" : ","));
  } while (reader.take(","));
  if (!reader.take(")")) reader.fail('expected "," or ")"');
  return values;
}
