import type { HttpConfig } from "../http-config.ts";
import type { Options } from "../options.ts";

export const jsonDateOptions = { json_date_key: "used", json_date_format: "used" } as const;

/** Under which key a record gets its time, undefined for none, and how it is written. */
export function readJsonDate(options: Options): Pick<HttpConfig, "dateKey" | "dateFormat"> {
  const key = options.text("json_date_key", "date");
  return {
    dateKey: ["false", "off", ""].includes(key.toLowerCase()) ? undefined : key,
    dateFormat: options.oneOf("json_date_format", ["double", "epoch", "epoch_ms", "iso8601"], "double"),
  };
}
