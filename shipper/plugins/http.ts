import type { HttpConfig, TlsConfig } from "../config.ts";
import type { Options } from "../options.ts";
import { outputOptions, readOutputBase } from "./common.ts";
import type { Plugin } from "./common.ts";

const keptAlive = "connections are kept alive";

/** `http`. No record is dropped: refusals of a record set it aside, everything else is retried. */
export const http: Plugin<HttpConfig> = {
  name: "http",
  options: {
    ...outputOptions,
    host: "used",
    port: "used",
    uri: "used",
    format: "used",
    compress: "used",
    header: "used",
    http_user: "used",
    http_passwd: "used",
    json_date_key: "used",
    json_date_format: "used",
    tls: "used",
    "tls.verify": "used",
    "tls.ca_file": "used",
    "tls.vhost": "used",
    "net.connect_timeout": "used",
    "http.response_timeout": "used",
    response_timeout: "used",
    "net.keepalive": { ignored: keptAlive },
    "net.keepalive_idle_timeout": { ignored: keptAlive },
    "net.keepalive_max_recycle": { ignored: keptAlive },
    log_response_payload: { ignored: "answers are kept only when they refuse a record" },
    allow_duplicated_headers: { ignored: "headers are sent as written" },
  },
  read(options, alias) {
    const tls = readTls(options);
    const dateKey = options.text("json_date_key", "date");
    return {
      ...readOutputBase(options, alias),
      plugin: "http",
      host: options.text("host", "127.0.0.1"),
      port: options.integer("port", tls === undefined ? 80 : 443, 1, 65_535),
      uri: readUri(options),
      format: readFormat(options),
      compress: options.oneOf("compress", ["none", "gzip"], "none"),
      headers: readHeaders(options),
      user: options.text("http_user"),
      password: readPassword(options),
      dateKey: ["false", "off", ""].includes(dateKey.toLowerCase()) ? undefined : dateKey,
      dateFormat: options.oneOf("json_date_format", ["double", "epoch", "epoch_ms", "iso8601"], "double"),
      tls,
      connectTimeoutMs: options.duration("net.connect_timeout", 10_000, 100, 600_000),
      responseTimeoutMs: options.duration("http.response_timeout", 60_000, 100, 3_600_000),
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

function readUri(options: Options): string {
  const uri = options.text("uri", "/");
  if (/^\/[\x21-\x7e]*$/.test(uri)) return uri;
  options.refuse(
    options.entry("uri") ?? options.section,
    `"uri" is "${uri}" and has to begin with /, without spaces`,
  );
  return "/";
}

function readHeaders(options: Options): HttpConfig["headers"] {
  const headers: (readonly [string, string])[] = [];
  for (const entry of options.entries("header")) {
    const parts = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s+([\x20-\x7e]+)$/.exec(
      options.expand(entry.value, entry).text,
    );
    if (parts?.[1] !== undefined && parts[2] !== undefined) headers.push([parts[1], parts[2]]);
    else options.refuse(entry, `"header ${entry.value}" has to be "header NAME VALUE"`);
  }
  return headers;
}

function readPassword(options: Options): string {
  const entry = options.entry("http_passwd");
  if (entry !== undefined && !entry.value.includes("${")) {
    options.warn(entry, "A password stands in the bundle, where everybody can read it: use a ${VARIABLE}");
  }
  return options.text("http_passwd", "");
}

function readTls(options: Options): TlsConfig | undefined {
  if (!options.boolean("tls", false)) return undefined;
  return {
    verify: options.boolean("tls.verify", true),
    caFile: options.text("tls.ca_file"),
    vhost: options.text("tls.vhost"),
  };
}
