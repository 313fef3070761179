import type { HttpConfig } from "../http-config.ts";
import type { Options } from "../options.ts";
import { outputOptions, readOutputBase } from "./common.ts";
import type { Plugin } from "./common.ts";
import { endpointOptions, readEndpoint, readPath } from "./endpoint.ts";
import { jsonDateOptions, readJsonDate } from "./json-date.ts";

/** `http`. No record is dropped: refusals of a record set it aside, everything else is retried. */
export const http: Plugin<HttpConfig> = {
  name: "http",
  options: {
    ...outputOptions,
    ...endpointOptions,
    uri: "used",
    format: "used",
    http_method: "used",
    ...jsonDateOptions,
    header_tag: { refused: 'write one output per tag, each with its own "header"' },
    body_key: { refused: "records are sent as they are: shape them with filters" },
    headers_key: { refused: "a record may not choose headers: write them as header" },
    "oauth2.enable": { refused: 'keep a token in a file and name it with "bearer_token_file"' },
  },
  read(options, alias) {
    return {
      ...readOutputBase(options, alias),
      ...readEndpoint(options, { plain: 80, tls: 443 }, ["gzip", "zstd"]),
      plugin: "http",
      method: options.oneOf("http_method", ["post", "put"], "post") === "post" ? "POST" : "PUT",
      uri: readPath(options, "uri", "/"),
      format: readFormat(options),
      ...readJsonDate(options),
    };
  },
};

/** Fluent Bit's own default is msgpack, which is not supported yet: the format has to be said. */
function readFormat(options: Options): HttpConfig["format"] {
  const formats = ["json", "json_lines", "json_stream"] as const;
  if (options.entry("format") === undefined) {
    options.refuse(
      options.section,
      `"format" is missing: add "format json" (supported: ${formats.join(", ")})`,
    );
  }
  return options.oneOf("format", formats, "json");
}
