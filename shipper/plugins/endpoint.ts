import type { HttpAuth, HttpEndpoint, ProxyConfig } from "../http-config.ts";
import type { OptionTable, Options } from "../options.ts";
import { readSecret } from "./secret.ts";
import { readTls, tlsOptions } from "./tls.ts";

const keptAlive = "one connection is kept alive for as long as both sides like";
const bounded = "reading and writing are bounded by http.response_timeout";
const signing = "requests are not signed: send through a proxy that signs, or use a user of the destination";

/** Options of every output over HTTP. */
export const endpointOptions: OptionTable = {
  ...tlsOptions,
  host: "used",
  port: "used",
  proxy: "used",
  compress: "used",
  header: "used",
  http_user: "used",
  http_passwd: "used",
  http_passwd_file: "used",
  bearer_token: "used",
  bearer_token_file: "used",
  "net.connect_timeout": "used",
  "http.response_timeout": "used",
  "net.keepalive": { ignored: keptAlive },
  "net.keepalive_idle_timeout": { ignored: keptAlive },
  "net.keepalive_max_recycle": { ignored: keptAlive },
  "net.max_worker_connections": { ignored: keptAlive },
  "net.io_timeout": { ignored: bounded },
  "http.read_idle_timeout": { ignored: bounded },
  "net.dns.mode": { ignored: "the resolver of the system is asked" },
  "net.dns.resolver": { ignored: "the resolver of the system is asked" },
  "net.dns.prefer_ipv4": { ignored: "addresses are tried in the order of the resolver" },
  log_response_payload: { ignored: "answers are kept only when they refuse a record" },
  allow_duplicated_headers: { ignored: "headers are sent as written" },
  aws_auth: { refused: signing },
  aws_region: { ignored: "nothing is signed" },
};

/** Where an output sends to and how it gets there. */
export function readEndpoint(options: Options, ports: { plain: number; tls: number }): HttpEndpoint {
  const tls = readTls(options);
  return {
    host: readHost(options),
    port: options.integer("port", tls === undefined ? ports.plain : ports.tls, 1, 65_535),
    tls,
    proxy: readProxy(options),
    auth: readAuth(options),
    headers: readHeaders(options),
    compress: options.oneOf("compress", ["none", "gzip", "zstd"], "none"),
    connectTimeoutMs: options.duration("net.connect_timeout", 10_000, 100, 600_000),
    responseTimeoutMs: options.duration("http.response_timeout", 60_000, 100, 3_600_000),
  };
}

function readHost(options: Options): string {
  const host = options.text("host", "127.0.0.1");
  if (/^[A-Za-z0-9._:-]{1,253}$/.test(host)) return host;
  options.refuse(
    options.entry("host") ?? options.section,
    `"host" is "${host}" and has to be a name or an address: no scheme, no path, no blanks`,
  );
  return "127.0.0.1";
}

/** The path of a request. */
export function readPath(options: Options, key: string, otherwise: string): string {
  const path = options.text(key, otherwise);
  if (path === otherwise || /^\/[\x21-\x7e]*$/.test(path)) return path;
  options.refuse(
    options.entry(key) ?? options.section,
    `"${key}" is "${path}" and has to begin with /, without blanks`,
  );
  return otherwise;
}

function readProxy(options: Options): ProxyConfig | undefined {
  const entry = options.entry("proxy");
  if (entry === undefined) return undefined;
  const text = options.text("proxy", "");
  const parts = /^http:\/\/(?:([^\s:@/]+):([^\s@/]*)@)?([A-Za-z0-9._-]+)(?::(\d{1,5}))?\/?$/.exec(text);
  const [, user, password, host, port = "80"] = parts ?? [];
  if (host === undefined || Number(port) > 65_535 || Number(port) === 0) {
    options.refuse(entry, '"proxy" has to be http://HOST:PORT or http://USER:PASSWORD@HOST:PORT');
    return undefined;
  }
  const credentials = user === undefined ? undefined : { user, password: password ?? "" };
  return { host, port: Number(port), credentials };
}

function readAuth(options: Options): HttpAuth | undefined {
  const user = options.text("http_user");
  const password = readSecret(options, "http_passwd");
  const bearer = readSecret(options, "bearer_token");
  const ways = [user, bearer].filter((way) => way !== undefined);
  const place = options.entry("http_user") ?? options.section;
  if (ways.length > 1) options.refuse(place, 'Both "http_user" and "bearer_token" are there: keep one');
  if (bearer !== undefined) return { kind: "bearer", token: bearer };
  if (user === undefined) {
    if (password !== undefined) {
      options.warn(options.section, '"http_passwd" does nothing without "http_user"');
    }
    return undefined;
  }
  if (!/^[\x20-\x39\x3b-\x7e\u0080-\uffff]*$/.test(user)) {
    options.refuse(place, `"http_user" is "${user}" and may hold no colon and no control character`);
  }
  return { kind: "basic", user, password: password ?? { kind: "text", text: "" } };
}

/** What the client says itself: to say it twice would garble requests. */
const ownHeaders: ReadonlySet<string> = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "transfer-encoding",
]);

function readHeaders(options: Options): HttpEndpoint["headers"] {
  const headers: (readonly [string, string])[] = [];
  for (const entry of options.entries("header")) {
    const text = options.expand(entry.value, entry).text;
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s+([\x20-\x7e]+)$/.exec(text) ?? [];
    if (name === undefined || value === undefined) {
      options.refuse(entry, `"header ${entry.value}" has to be "header NAME VALUE"`);
    } else if (ownHeaders.has(name.toLowerCase())) {
      options.refuse(entry, `The header "${name}" is set by the output itself: leave it out`);
    } else headers.push([name, value]);
  }
  return headers;
}
