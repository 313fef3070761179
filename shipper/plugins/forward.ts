import type { ForwardConfig } from "../forward-config.ts";
import type { Secret } from "../http-config.ts";
import type { Options } from "../options.ts";
import { outputOptions, readOutputBase } from "./common.ts";
import type { Plugin } from "./common.ts";
import { readSecret } from "./secret.ts";
import { readTls, tlsOptions } from "./tls.ts";

const one = 'name one destination with "host" and "port"; for another one add another output';
const system = "the resolver of the system is asked";

/** `forward`, protocol version 1. Unlike in Fluent Bit each message has to be acknowledged. */
export const forward: Plugin<ForwardConfig> = {
  name: "forward",
  options: {
    ...outputOptions,
    ...tlsOptions,
    host: "used",
    port: "used",
    tag: "used",
    require_ack_response: "used",
    time_as_integer: "used",
    compress: "used",
    shared_key: "used",
    shared_key_file: "used",
    empty_shared_key: "used",
    username: "used",
    password: "used",
    password_file: "used",
    self_hostname: "used",
    "net.connect_timeout": "used",
    "net.io_timeout": "used",
    "net.keepalive": "used",
    "net.keepalive_idle_timeout": { ignored: "a connection that the other side closed is opened anew" },
    "net.keepalive_max_recycle": { ignored: "one connection serves for as long as both sides like" },
    "net.max_worker_connections": { ignored: "one connection carries all, in order" },
    "net.dns.mode": { ignored: system },
    "net.dns.resolver": { ignored: system },
    "net.dns.prefer_ipv4": { ignored: "addresses are tried in the order of the resolver" },
    send_options: { ignored: "options are always sent" },
    retain_metadata_in_forward_mode: { ignored: "records have no metadata here" },
    fluentd_compat: { ignored: "records have no metadata, metrics or traces here" },
    upstream: { refused: one },
    unix_path: { refused: one },
    add_option: { refused: "options are those of the protocol: chunk, size and compressed" },
  },
  read(options, alias) {
    const tls = readTls(options);
    const sharedKey = readSharedKey(options);
    return {
      ...readOutputBase(options, alias),
      plugin: "forward",
      host: readHost(options),
      port: options.integer("port", 24_224, 1, 65_535),
      tls,
      proxy: undefined,
      connectTimeoutMs: options.duration("net.connect_timeout", 10_000, 100, 600_000),
      answerTimeoutMs: options.duration("net.io_timeout", 60_000, 100, 3_600_000),
      requiresAck: options.boolean("require_ack_response", true),
      tag: readTag(options),
      timeAsInteger: options.boolean("time_as_integer", false),
      compress: options.oneOf("compress", ["none", "gzip"], "none"),
      sharedKey,
      ...readUser(options, sharedKey),
      selfHostname: readSelf(options),
      keepsConnection: options.boolean("net.keepalive", true),
    };
  },
};

function readHost(options: Options): string {
  const host = options.text("host", "127.0.0.1");
  if (/^[A-Za-z0-9._:-]{1,253}$/.test(host)) return host;
  options.refuse(
    options.entry("host") ?? options.section,
    `"host" is "${host}" and has to be a name or an address: no scheme, no path, no blanks`,
  );
  return "127.0.0.1";
}

function readTag(options: Options): string | undefined {
  const tag = options.text("tag");
  if (tag !== undefined && (tag === "" || /[\s$]/.test(tag))) {
    const place = options.entry("tag") ?? options.section;
    options.refuse(
      place,
      `"tag" is "${tag}" and has to be one word; a tag that a record makes is not supported`,
    );
  }
  return tag;
}

/** A key of no length is one, too: the handshake takes place. */
function readSharedKey(options: Options): Secret | undefined {
  const key = readSecret(options, "shared_key");
  if (!options.boolean("empty_shared_key", false)) return key;
  if (key === undefined) return { kind: "text", text: "" };
  options.refuse(
    options.entry("empty_shared_key") ?? options.section,
    '"empty_shared_key" and a shared key are both there: keep one',
  );
  return key;
}

function readUser(options: Options, sharedKey: Secret | undefined): Pick<ForwardConfig, "user" | "password"> {
  const user = options.text("username", "");
  const password = readSecret(options, "password");
  const place = options.entry("username") ?? options.entry("password") ?? options.section;
  if (user !== "" && sharedKey === undefined) {
    options.refuse(
      place,
      '"username" is only asked for in a handshake: add "shared_key" or "empty_shared_key on"',
    );
  }
  if (user === "" && password !== undefined) {
    options.refuse(place, '"password" is there without "username"');
  }
  return { user, password };
}

/** Fluent Bit's own default, `localhost`, is also what its servers call themselves, and then nobody could tell who proved what. */
function readSelf(options: Options): string | undefined {
  const name = options.text("self_hostname");
  if (name === undefined || /^[\x21-\x7e]{1,253}$/.test(name)) return name;
  const place = options.entry("self_hostname") ?? options.section;
  options.refuse(place, `"self_hostname" is "${name}" and has to be one word of at most 253 letters`);
  return undefined;
}
