import { isObject } from "./field-set.ts";
import type { Stored } from "./managed-fields.ts";
import { ApiError } from "./status.ts";

type Matches = (object: Stored) => boolean;

/** What a list's `labelSelector` lets through: `key`, `!key`, `key=value` and `key!=value`. */
export function byLabels(selector: string | null): Matches {
  const parts = (selector ?? "").split(",").filter((part) => part !== "");
  const tests = parts.map((part): Matches => {
    const match = /^(!?)([A-Za-z0-9./_-]+)(?:(==|=|!=)([A-Za-z0-9._-]*))?$/.exec(part.trim());
    if (match === null) throw new ApiError(400, "BadRequest", `unable to parse requirement: ${part}`);
    const [, not, key = "", operator, value] = match;
    return ({ metadata }) => {
      const label = isObject(metadata["labels"]) ? metadata["labels"][key] : undefined;
      if (operator === undefined) return (label !== undefined) !== (not === "!");
      return operator === "!=" ? label !== value : label === value;
    };
  });
  return (object) => tests.every((test) => test(object));
}

/** What a list's `fieldSelector` lets through; any path with `=` or `!=`. */
export function byFields(selector: string | null): Matches {
  const parts = (selector ?? "").split(",").filter((part) => part !== "");
  const tests = parts.map((part): Matches => {
    const match = /^([A-Za-z.]+)(==|=|!=)(.*)$/.exec(part);
    if (match === null) throw new ApiError(400, "BadRequest", `invalid field selector: ${part}`);
    const [, path = "", operator, value] = match;
    return (object) => {
      let found: unknown = object;
      for (const key of path.split(".")) found = isObject(found) ? found[key] : undefined;
      const text = typeof found === "string" ? found : "";
      return (text === value) === (operator !== "!=");
    };
  });
  return (object) => tests.every((test) => test(object));
}
