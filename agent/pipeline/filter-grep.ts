import { compileRegex } from "#shipper";
import type { GrepConfig } from "#shipper";
import type { Draft } from "./draft.ts";
import type { Filter } from "./filter.ts";
import { stepsOf, textOf } from "./json-walk.ts";

/** `grep`: drops records by the text of fields. What is no text matches nothing, as in Fluent Bit. */
export class GrepFilter implements Filter {
  readonly config: GrepConfig;
  readonly #judge: (draft: Draft) => string | undefined;

  constructor(config: GrepConfig) {
    this.config = config;
    const rules = config.rules.map((rule) => {
      const steps = stepsOf(rule.path);
      const pattern = compileRegex(rule.pattern);
      const matches = (draft: Draft): boolean => {
        const value = draft.find(steps);
        if (value === undefined || value.bytes[value.start] !== 0x22) return false;
        return pattern(textOf(value.bytes, value.start, value.end));
      };
      return { ...rule, matches };
    });
    const keeps = config.rules[0]?.kind === "regex";
    if (config.op === "legacy") {
      // An `exclude` drops what it matches, a `regex` what it does not.
      this.#judge = (draft) =>
        rules.find(({ kind, matches }) => matches(draft) === (kind === "exclude"))?.written;
    } else if (keeps && config.op === "and") {
      this.#judge = (draft) => rules.find(({ matches }) => !matches(draft))?.written;
    } else if (!keeps && config.op === "or") {
      this.#judge = (draft) => rules.find(({ matches }) => matches(draft))?.written;
    } else if (keeps) {
      this.#judge = (draft) => (rules.some(({ matches }) => matches(draft)) ? undefined : "no regex matches");
    } else {
      this.#judge = (draft) =>
        rules.every(({ matches }) => matches(draft)) ? "all excludes match" : undefined;
    }
  }

  apply(draft: Draft): string | undefined {
    return this.#judge(draft);
  }
}
