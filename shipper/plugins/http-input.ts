import type { HttpInputConfig, ServerTlsConfig } from "../config.ts";
import type { Options } from "../options.ts";
import { placeOf } from "../problem.ts";
import type { Plugin } from "./common.ts";

const onDisk = "records are on disk before a request is answered";

/**
 * `http`. Unlike in Fluent Bit the path of a request does not choose the tag: whoever may POST would choose the outputs, too.
 * `uri`, `bearer_token_file` and `storage.total_limit_size` are ours.
 */
export const httpInput: Plugin<HttpInputConfig> = {
  name: "http",
  options: {
    name: "used",
    alias: "used",
    tag: "used",
    listen: "used",
    port: "used",
    uri: "used",
    buffer_max_size: "used",
    successful_response_code: "used",
    bearer_token_file: "used",
    "storage.total_limit_size": "used",
    tls: "used",
    "tls.crt_file": "used",
    "tls.key_file": "used",
    "tls.ca_file": "used",
    "tls.verify_client_cert": "used",
    "tls.verify": { ignored: "clients are verified with tls.verify_client_cert" },
    buffer_chunk_size: { ignored: "a body is read as it comes" },
    http2: { ignored: "HTTP/1.1 is spoken, which every client speaks, too" },
    mem_buf_limit: { ignored: onDisk },
    "storage.type": { ignored: onDisk },
    "storage.pause_on_chunks_overlimit": { ignored: "a full spool always refuses further requests" },
    threaded: { ignored: "the pipeline has its own thread" },
  },
  read(options, alias) {
    return {
      plugin: "http",
      at: placeOf(options.section),
      alias,
      tag: readTag(options, alias),
      listen: options.text("listen", "127.0.0.1"),
      port: options.integer("port", 9880, 1, 65_535),
      paths: readUris(options),
      bodyBytesMax: options.size("buffer_max_size", 16_000_000, 4096, 256_000_000),
      successStatus: readStatus(options),
      spoolBytesMax: options.size("storage.total_limit_size", 1_000_000_000, 1_000_000, 1e12),
      bearerTokenFile: readPath(options, "bearer_token_file"),
      tls: readTls(options),
    };
  },
};

/** A tag without `*`, which only files give a meaning. */
export function readTag(options: Options, alias: string): string {
  const tag = options.text("tag", alias);
  if (/^[^\s*]{1,200}$/.test(tag)) return tag;
  options.refuse(
    options.entry("tag") ?? options.section,
    `"tag" is "${tag}" and has to be one word without *`,
  );
  return alias;
}

function readUris(options: Options): readonly string[] {
  const entry = options.entry("uri");
  const uris = options
    .text("uri", "/")
    .split(",")
    .map((uri) => uri.trim());
  for (const uri of uris) {
    if (/^\/[^\s?#]*$/.test(uri)) continue;
    options.refuse(entry ?? options.section, `"uri" is "${uri}" and has to be a path, such as /audit`);
  }
  return uris;
}

function readStatus(options: Options): 200 | 201 | 204 {
  const status = options.oneOf("successful_response_code", ["200", "201", "204"], "201");
  return status === "200" ? 200 : status === "204" ? 204 : 201;
}

function readTls(options: Options): ServerTlsConfig | undefined {
  if (!options.boolean("tls", false)) return undefined;
  const verifyClient = options.boolean("tls.verify_client_cert", false);
  const caFile = readPath(options, "tls.ca_file");
  if (verifyClient && caFile === undefined) {
    const place = options.entry("tls.verify_client_cert") ?? options.section;
    options.refuse(
      place,
      '"tls.verify_client_cert" needs "tls.ca_file": who signs the certificates of clients',
    );
  }
  for (const key of ["tls.crt_file", "tls.key_file"]) {
    options.required(key, `"${key} /etc/...": a server needs it`);
  }
  const certFile = readPath(options, "tls.crt_file") ?? "";
  const keyFile = readPath(options, "tls.key_file") ?? "";
  return { certFile, keyFile, caFile, verifyClient };
}

function readPath(options: Options, key: string): string | undefined {
  const path = options.text(key, "");
  if (path === "") return undefined;
  if (!path.startsWith("/")) {
    options.refuse(options.entry(key) ?? options.section, `"${key}" is "${path}" and has to be absolute`);
  }
  return path;
}
