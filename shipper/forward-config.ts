import type { OutputCommon } from "./config.ts";
import type { Secret, TlsConfig } from "./http-config.ts";

/** Sends records to a Fluentd or Fluent Bit in their own protocol. */
export interface ForwardConfig extends OutputCommon {
  readonly plugin: "forward";
  readonly host: string;
  readonly port: number;
  readonly tls: TlsConfig | undefined;
  readonly proxy: undefined;
  readonly connectTimeoutMs: number;
  /** How long an answer may take: an acknowledgement, or a step of the handshake. */
  readonly answerTimeoutMs: number;
  /** Whether a record counts as delivered when the other side said so, and not when it was sent. */
  readonly requiresAck: boolean;
  /** Replaces the tag of all records. */
  readonly tag: string | undefined;
  /** Seconds, without nanoseconds, for Fluentd before 0.14. */
  readonly timeAsInteger: boolean;
  readonly compress: "none" | "gzip";
  /** With it both sides prove that they know it before anything is sent. */
  readonly sharedKey: Secret | undefined;
  readonly user: string;
  readonly password: Secret | undefined;
  /** What we call ourselves in the handshake; as the node is called when undefined. */
  readonly selfHostname: string | undefined;
  readonly keepsConnection: boolean;
}
