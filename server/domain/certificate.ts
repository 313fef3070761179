import { accept, refuse, type Outcome } from "./refusal.ts";

/** What a client certificate says, apart from who it is. Times in milliseconds since 1970. */
export interface PresentedCertificate {
  readonly serial: string;
  readonly expiresAtMs: number;
  /** Whether the CA issued it that issues now. */
  readonly isOfNewestCa: boolean;
}

/** What the store knows about the agent that the certificate names. */
export interface KnownAgent {
  readonly certificateSerial: string;
  readonly certificateExpiresAtMs: number;
  /** Whether that one is of the CA that issues now. */
  readonly isOfNewestCa: boolean;
  readonly isRevoked: boolean;
  readonly isRetired: boolean;
}

/**
 * How long the certificate before the newest one is still taken, counted from when the newest one was issued: long
 * enough to swap every connection, short enough that enrolling again locks a stolen key out.
 */
export const certificateOverlapMs: number = 10 * 60_000;

/**
 * Whether an agent may come in with a certificate of ours. `newer` means that a renewed certificate is used for the
 * first time: its key is the agent's key from now on. `lifeMs` is the life of the certificates that we issue.
 */
export function judgeCertificate(
  presented: PresentedCertificate,
  known: KnownAgent,
  nowMs: number,
  lifeMs: number,
): Outcome<"known" | "newer"> {
  if (known.isRetired) return refuse({ kind: "forbidden", why: "The cluster was retired" });
  if (known.isRevoked) return refuse({ kind: "forbidden", why: "The identity of this agent was revoked" });
  if (presented.expiresAtMs <= nowMs) {
    return refuse({ kind: "unauthenticated", why: "The client certificate has expired: enrol again" });
  }
  if (presented.serial === known.certificateSerial) return accept("known");
  if (presented.isOfNewestCa && !known.isOfNewestCa) return accept("newer");
  const isOfOlderCa = known.isOfNewestCa && !presented.isOfNewestCa;
  if (presented.expiresAtMs > known.certificateExpiresAtMs && !isOfOlderCa) return accept("newer");
  const issuedAtMs = known.certificateExpiresAtMs - lifeMs;
  if (nowMs < issuedAtMs + certificateOverlapMs) return accept("known");
  return refuse({
    kind: "unauthenticated",
    why: `The client certificate ${presented.serial} was replaced by ${known.certificateSerial}: use the newest one`,
  });
}
