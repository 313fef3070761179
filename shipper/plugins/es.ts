import type { FieldPath } from "../field-path.ts";
import type { EsConfig, EsId, EsIndex, HttpAuth } from "../http-config.ts";
import type { OptionTable, Options } from "../options.ts";
import { strftimeProblem } from "../strftime.ts";
import { outputOptions, readOutputBase } from "./common.ts";
import type { Plugin } from "./common.ts";
import { endpointOptions, readEndpoint, readPath } from "./endpoint.ts";
import { readPath as readFieldPath } from "./filter-common.ts";
import { readSecret } from "./secret.ts";

const cloud = 'write the host of the deployment as "host", "port 443", "tls on" and a user or "http_api_key"';
const unsigned = "nothing is signed";
const printed = "what refuses a record stands in the dead letter, with the record";

const table: OptionTable = {
  ...outputOptions,
  ...endpointOptions,
  path: "used",
  index: "used",
  type: "used",
  suppress_type_name: "used",
  logstash_format: "used",
  logstash_prefix: "used",
  logstash_prefix_key: "used",
  logstash_prefix_separator: "used",
  logstash_dateformat: "used",
  current_time_index: "used",
  time_key: "used",
  time_key_format: "used",
  include_tag_key: "used",
  tag_key: "used",
  generate_id: "used",
  id_key: "used",
  write_operation: "used",
  pipeline: "used",
  replace_dots: "used",
  http_api_key: "used",
  http_api_key_file: "used",
  time_key_nanos: { ignored: "times are sent as exactly as the record has them" },
  buffer_size: { ignored: "answers are read within a bound of their own" },
  trace_output: { ignored: printed },
  trace_error: { ignored: printed },
  target_index: { refused: 'use "logstash_format" with "logstash_prefix_key", or one output per index' },
  cloud_id: { refused: cloud },
  cloud_auth: { refused: cloud },
  aws_sts_endpoint: { ignored: unsigned },
  aws_role_arn: { ignored: unsigned },
  aws_external_id: { ignored: unsigned },
  aws_service_name: { ignored: unsigned },
  aws_profile: { ignored: unsigned },
};

/** `es` and `opensearch` speak the same bulk interface. */
export const es: Plugin<EsConfig> = plugin("es");
export const opensearch: Plugin<EsConfig> = plugin("opensearch");

function plugin(name: EsConfig["plugin"]): Plugin<EsConfig> {
  return {
    name,
    options: table,
    read(options, alias) {
      const endpoint = readEndpoint(options, { plain: 9200, tls: 9200 });
      return {
        ...readOutputBase(options, alias),
        ...endpoint,
        auth: readApiKey(options, endpoint.auth),
        plugin: name,
        path: readBulkPath(options),
        index: readIndex(options),
        operation: readOperation(options),
        type: readType(options),
        id: readId(options),
        timeKey: options.text("time_key", "@timestamp"),
        timeFormat: readTimeFormat(options),
        tagKey: options.boolean("include_tag_key", false) ? options.text("tag_key", "flb-key") : undefined,
        replaceDots: options.boolean("replace_dots", false),
      };
    },
  };
}

function readApiKey(options: Options, auth: HttpAuth | undefined): HttpAuth | undefined {
  const key = readSecret(options, "http_api_key");
  if (key === undefined) return auth;
  if (auth !== undefined) {
    options.refuse(options.section, '"http_api_key" is there beside another credential: keep one');
  }
  return { kind: "api-key", token: key };
}

/** The answer of a bulk request lists every record; all but the state and what went wrong is left out of it. */
const answerParts = "errors,items.*.status,items.*.error";

function readBulkPath(options: Options): string {
  const prefix = readPath(options, "path", "").replace(/\/+$/, "");
  if (prefix.includes("?")) {
    options.refuse(options.entry("path") ?? options.section, '"path" may hold no question mark');
  }
  const pipeline = options.text("pipeline");
  const through = pipeline === undefined ? "" : `pipeline=${encodeURIComponent(pipeline)}&`;
  return `${prefix}/_bulk?${through}filter_path=${answerParts}`;
}

function readIndex(options: Options): EsIndex {
  if (!options.boolean("logstash_format", false)) {
    return { kind: "fixed", name: readIndexName(options, "index", "fluent-bit") };
  }
  const dateFormat = options.text("logstash_dateformat", "%Y.%m.%d");
  const why = strftimeProblem(dateFormat);
  const place = options.entry("logstash_dateformat") ?? options.section;
  if (why !== undefined) options.refuse(place, `"logstash_dateformat" cannot be used: ${why}`);
  return {
    kind: "dated",
    prefix: readIndexName(options, "logstash_prefix", "logstash"),
    prefixPath: readField(options, "logstash_prefix_key"),
    separator: options.text("logstash_prefix_separator", "-"),
    dateFormat,
    isSendingDay: options.boolean("current_time_index", false),
  };
}

/** Elasticsearch refuses every record for an index with another name. */
function readIndexName(options: Options, key: string, otherwise: string): string {
  const name = options.text(key, otherwise);
  if (/^[^A-Z\s"*+\\<>|,?/#_-][^A-Z\s"*\\<>|,?/#]{0,199}$/.test(name)) return name;
  options.refuse(
    options.entry(key) ?? options.section,
    `"${key}" is "${name}" and has to be lower case, without blanks and ", *, \\, <, >, |, ?, /, #, and not begin with -, _ or +`,
  );
  return otherwise;
}

function readField(options: Options, key: string): FieldPath | undefined {
  const entry = options.entry(key);
  return entry === undefined ? undefined : readFieldPath(options, entry, options.text(key, ""));
}

function readOperation(options: Options): EsConfig["operation"] {
  const written = options.text("write_operation", "create").toLowerCase();
  if (written === "create" || written === "index") return written;
  options.refuse(
    options.entry("write_operation") ?? options.section,
    `"write_operation" is "${written}": records are never changed, so only create and index are supported`,
  );
  return "create";
}

/** Elasticsearch 8 refuses requests that name a type, so that it takes a word to send one. */
function readType(options: Options): string | undefined {
  if (!options.boolean("suppress_type_name", true)) return options.text("type", "_doc");
  const entry = options.entry("type");
  if (entry !== undefined && options.entry("suppress_type_name") === undefined) {
    options.warn(
      entry,
      'The type is not sent, as Elasticsearch 8 would refuse it: add "suppress_type_name off" before version 7',
    );
  }
  return undefined;
}

function readId(options: Options): EsId {
  const path = readField(options, "id_key");
  if (path !== undefined) return { kind: "field", path };
  if (options.boolean("generate_id", true)) return { kind: "source" };
  options.warn(
    options.entry("generate_id") ?? options.section,
    'With "generate_id off" a record that has to be sent again stands there twice',
  );
  return { kind: "server" };
}

function readTimeFormat(options: Options): string | undefined {
  const format = options.text("time_key_format", "%Y-%m-%dT%H:%M:%S");
  if (format === "%Y-%m-%dT%H:%M:%S") return undefined;
  const why = strftimeProblem(format);
  const place = options.entry("time_key_format") ?? options.section;
  if (why !== undefined) options.refuse(place, `"time_key_format" cannot be used: ${why}`);
  return format;
}
