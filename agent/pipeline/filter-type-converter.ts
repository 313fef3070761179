import type { ConvertRule, TypeConverterConfig } from "#shipper";
import { Member } from "./draft.ts";
import type { Draft } from "./draft.ts";
import type { Filter } from "./filter.ts";
import { RecordKey, stepsOf, textOf, wholeOf } from "./json-walk.ts";
import type { Steps, Text } from "./json-walk.ts";

interface Conversion {
  readonly rule: ConvertRule;
  readonly steps: Steps;
  readonly key: RecordKey;
}

/**
 * `type_converter`: puts a value under another key, as another type. Digits are carried over as they are written, so that
 * no number loses any. A value that cannot be converted is copied as it is, as in Fluent Bit.
 */
export class TypeConverterFilter implements Filter {
  readonly config: TypeConverterConfig;
  readonly #conversions: readonly Conversion[];

  constructor(config: TypeConverterConfig) {
    this.config = config;
    this.#conversions = config.rules.map((rule) => ({
      rule,
      steps: stepsOf(rule.path),
      key: new RecordKey(rule.key),
    }));
  }

  apply(draft: Draft): undefined {
    for (const { rule, steps, key } of this.#conversions) {
      const value = draft.find(steps);
      if (value === undefined) continue;
      const converted = convert(value, rule);
      const text = converted === undefined ? value : wholeOf(Buffer.from(converted));
      const others = draft.members.filter((one) => !one.is(key));
      draft.replace([...others, Member.of(key, text)]);
    }
  }
}

const integer = /^-?\d+$/;
const number = /^[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** The value as JSON of the other type, or undefined when it is not of the type that it should be. */
function convert({ bytes, start, end }: Text, { from, to }: ConvertRule): string | undefined {
  const isText = bytes[start] === 0x22;
  if (isText !== (from === "string")) return undefined;
  const written = isText ? textOf(bytes, start, end).trim() : bytes.toString("latin1", start, end);
  if (from === "string") return fromText(written, to);
  const isInteger = integer.test(written);
  if (isInteger === (from === "float") || !number.test(written)) return undefined;
  if (from === "uint" && written.startsWith("-")) return undefined;
  switch (to) {
    case "string":
      return JSON.stringify(written);
    case "float":
      return `${written}.0`;
    case "int":
    case "uint":
      return whole(isInteger ? written : withoutFraction(written), to);
    case "bool":
    case "hex":
      return undefined;
  }
}

function fromText(text: string, to: ConvertRule["to"]): string | undefined {
  switch (to) {
    case "int":
    case "uint":
      return /^[+-]?\d+$/.test(text) ? whole(text, to) : undefined;
    case "float":
      return number.test(text) ? plain(text) : undefined;
    case "hex":
      return /^(?:0x)?[0-9a-f]{1,16}$/i.test(text)
        ? String(BigInt(`0x${text.replace(/^0x/i, "")}`))
        : undefined;
    case "bool":
      return /^(?:true|false)$/i.test(text) ? text.toLowerCase() : undefined;
    case "string":
      return undefined;
  }
}

function whole(text: string | undefined, to: "int" | "uint"): string | undefined {
  if (text === undefined || (to === "uint" && text.startsWith("-"))) return undefined;
  return plain(text);
}

/** A number without its fraction, undefined when it is too large for that to be exact. */
function withoutFraction(text: string): string | undefined {
  if (!/[eE]/.test(text)) return text.replace(/\.\d*$/, "");
  const value = Math.trunc(Number(text));
  return Number.isSafeInteger(value) ? String(value) : undefined;
}

/** Digits as JSON wants them: no plus, no zeros in front, no minus before a zero. */
function plain(text: string): string {
  const shown = text.replace(/^\+/, "").replace(/^(-?)0+(?=\d)/, "$1");
  return /^-0+$/.test(shown) ? "0" : shown;
}
