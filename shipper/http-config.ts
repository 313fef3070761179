import type { OutputCommon } from "./config.ts";
import type { FieldPath } from "./field-path.ts";

/** Something that has no business in a config: its text, filled in from a variable, or a file that is read when it is needed. */
export type Secret =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "file"; readonly path: string };

export interface TlsConfig {
  readonly verify: boolean;
  readonly caFile: string | undefined;
  /** The name to ask for and to find in the certificate, when it is not the host. */
  readonly vhost: string | undefined;
  /** What the output shows of itself, for servers that ask for a certificate. */
  readonly client:
    | { readonly certFile: string; readonly keyFile: string; readonly password: Secret | undefined }
    | undefined;
}

/** An HTTP proxy: TLS goes through it untouched (`CONNECT`), everything else it sees. */
export interface ProxyConfig {
  readonly host: string;
  readonly port: number;
  readonly credentials: { readonly user: string; readonly password: string } | undefined;
}

export type HttpAuth =
  | { readonly kind: "basic"; readonly user: string; readonly password: Secret }
  | { readonly kind: "bearer" | "api-key"; readonly token: Secret };

/** What every output over HTTP says about its destination. */
export interface HttpEndpoint {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsConfig | undefined;
  readonly proxy: ProxyConfig | undefined;
  readonly auth: HttpAuth | undefined;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly compress: "none" | "gzip" | "zstd";
  readonly connectTimeoutMs: number;
  readonly responseTimeoutMs: number;
}

export interface HttpConfig extends OutputCommon, HttpEndpoint {
  readonly plugin: "http";
  readonly method: "POST" | "PUT";
  readonly uri: string;
  readonly format: "json" | "json_lines" | "json_stream";
  readonly dateKey: string | undefined;
  readonly dateFormat: "double" | "epoch" | "epoch_ms" | "iso8601";
}

export interface EsConfig extends OutputCommon, HttpEndpoint {
  readonly plugin: "es" | "opensearch";
  /** The path of the bulk interface, query included. */
  readonly path: string;
  readonly index: EsIndex;
  readonly operation: "create" | "index";
  /** Mapping type, for Elasticsearch before version 7. */
  readonly type: string | undefined;
  readonly id: EsId;
  readonly timeKey: string;
  /** A strftime format; undefined: RFC 3339, as exactly as the record has it. */
  readonly timeFormat: string | undefined;
  readonly tagKey: string | undefined;
  readonly replaceDots: boolean;
}

/** `dated`: a prefix and the day of the record, or the day when it is sent. */
export type EsIndex =
  | { readonly kind: "fixed"; readonly name: string }
  | {
      readonly kind: "dated";
      readonly prefix: string;
      readonly prefixPath: FieldPath | undefined;
      readonly separator: string;
      readonly dateFormat: string;
      readonly isSendingDay: boolean;
    };

/** `source`: made of where the record stood and what it says, so that the same record has the same id for ever. */
export type EsId =
  | { readonly kind: "source" | "server" }
  | { readonly kind: "field"; readonly path: FieldPath };

export interface LokiConfig extends OutputCommon, HttpEndpoint {
  readonly plugin: "loki";
  readonly uri: string;
  readonly tenantId: string | undefined;
  readonly labels: readonly LokiLabel[];
  readonly metadata: readonly LokiLabel[];
  /** Fields that do not go into the line: those to remove, and those that became labels. */
  readonly removed: readonly FieldPath[];
  readonly lineFormat: "json" | "key_value";
  readonly dropSingleKey: "off" | "on" | "raw";
}

/** A label, or structured metadata, with a value of the config or of the record. */
export type LokiLabel =
  | { readonly name: string; readonly value: string }
  | { readonly name: string; readonly path: FieldPath };
