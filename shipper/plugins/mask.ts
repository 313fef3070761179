import { parseDottedPath } from "../field-path.ts";
import type { FieldPath } from "../field-path.ts";
import type { MaskConfig } from "../filter-config.ts";
import type { Options } from "../options.ts";
import { placeOf } from "../problem.ts";
import { matchOptions, readMatch } from "./common.ts";
import type { Plugin } from "./common.ts";
import { checkCount, readConditions } from "./filter-common.ts";

const keyLengthMin = 16;

/**
 * `mask`, ours: makes values unreadable below the fields that it names. Rules see the record as it was; outputs, and what
 * an alert prints, do not.
 */
export const mask: Plugin<MaskConfig> = {
  name: "mask",
  options: { ...matchOptions, condition: "used", field: "used", with: "used", key: "used" },
  read(options, alias) {
    const fields = readFields(options);
    const conditions = readConditions(options);
    const how = readHow(options);
    const at = placeOf(options.section);
    return { plugin: "mask", at, alias, match: readMatch(options), conditions, fields, how };
  },
};

function readFields(options: Options): readonly FieldPath[] {
  const entries = options.entries("field");
  if (entries.length === 0) {
    options.refuse(options.section, '"field" is missing: add "field requestObject.data.*"');
  }
  checkCount(options, entries.length, "fields");
  return entries.flatMap((entry) => {
    const text = options.expand(entry.value, entry).text;
    const path = parseDottedPath(text);
    if (path !== undefined) return [path];
    const form = "KEY.INNER.*, or $KEY['INNER'][*] for keys with dots";
    options.refuse(entry, `"${text}" is no field: write ${form}`);
    return [];
  });
}

function readHow(options: Options): MaskConfig["how"] {
  const text = options.text("with", "***");
  const key = options.text("key");
  const place = options.entry("key") ?? options.section;
  if (text !== "hash") {
    if (key !== undefined) options.refuse(place, '"key" is for "with hash" only: take it away');
    return { kind: "text", text };
  }
  if (key === undefined || key.length < keyLengthMin) {
    const why = "without a secret key, short values can be guessed from their hash";
    options.refuse(place, `"with hash" needs a "key" of ${keyLengthMin} characters or more: ${why}`);
  }
  return { kind: "hash", key: key ?? "" };
}
