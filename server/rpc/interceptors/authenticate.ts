import type { KeyObject, X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";

import { createContextKey } from "@connectrpc/connect";
import { readAgentCertificate } from "#trust";

import type { CaSet } from "../../ca-keeper.ts";
import { judgeCertificate } from "../../domain/certificate.ts";
import type { AgentId, ApiTokenId, ClusterId } from "../../domain/ids.ts";
import { accept, refuse, type Outcome } from "../../domain/refusal.ts";
import { judgeToken, parseCredential } from "../../domain/secret.ts";
import { isSecret } from "../../secrets.ts";
import type { AgentStanding } from "../../store/agents.ts";
import { findApiToken, touchApiToken, type ApiToken } from "../../store/api-tokens.ts";
import type { Db } from "../../store/pool.ts";
import { readSessionCookie } from "../browser-session.ts";
import { credentialText, type AgentCaller, type Caller, type Operator } from "../caller.ts";

/** Who the certificate of a connection names. Our CA vouches for it; whether it may still come in is for the store. */
export interface Peer {
  readonly org: string;
  readonly clusterId: ClusterId;
  readonly agentId: AgentId;
  readonly publicKey: KeyObject;
  readonly serial: string;
  readonly expiresAt: Date;
  /** Pin of the CA that issued the certificate. */
  readonly ca: string;
}

/** The peer of the connection that a call came over. */
export const peerKey = createContextKey<Outcome<Peer>>(
  refuse({ kind: "unauthenticated", why: "No credentials were given" }),
);

export interface Authentication {
  readonly db: Db;
  readonly org: string;
  readonly agentCertificateMs: number;
  /** Undefined when there is no such agent in that cluster. */
  readonly standingOf: (peer: Pick<Peer, "agentId" | "clusterId">) => Promise<AgentStanding | undefined>;
  readonly cas: () => Pick<CaSet, "issuer" | "trustedPins" | "bundleVersion">;
}

/** Reads the client certificate of a connection, which TLS has checked against our CA. */
export function readPeer(
  socket: TLSSocket,
  issuerOf: (certificate: X509Certificate) => string | undefined,
): Outcome<Peer> {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) {
    return refuse({
      kind: "unauthenticated",
      why: "No credentials were given: send an API token as Authorization: Bearer, or a client certificate",
    });
  }
  // A resumed TLS session keeps the verdict of its first handshake, which may have trusted a CA that was dropped since.
  const ca = socket.authorized ? issuerOf(certificate) : undefined;
  if (socket.authorized && ca === undefined) return droppedCa;
  if (ca === undefined) {
    const why = `The client certificate was refused: ${String(socket.authorizationError)}`;
    return refuse({ kind: "unauthenticated", why });
  }
  const read = readAgentCertificate(certificate);
  if (!read.ok) {
    return refuse({
      kind: "unauthenticated",
      why: `The client certificate names no agent: ${read.refusal.message}`,
    });
  }
  const { identity, expires } = read.value;
  return accept({
    org: identity.org,
    clusterId: identity.clusterId as ClusterId,
    agentId: identity.agentId as AgentId,
    publicKey: certificate.publicKey,
    serial: certificate.serialNumber.toLowerCase(),
    expiresAt: expires,
    ca,
  });
}

const droppedCa = refuse({
  kind: "unauthenticated",
  why: "The client certificate is of a CA that this fleet does not trust any more: enrol again",
});

/**
 * Finds out who calls. An API token in the headers counts before the cookie of a browser, and both before a certificate on
 * the connection.
 */
export async function authenticate(
  on: Authentication,
  headers: Headers,
  peer: Outcome<Peer>,
  now: Date,
): Promise<Outcome<Caller>> {
  const authorization = headers.get("authorization");
  if (authorization !== null) return bearer(on.db, authorization, now);
  const kept = readSessionCookie(headers);
  if (kept !== undefined) return bearer(on.db, `Bearer ${kept}`, now);
  return peer.ok ? certified(on, peer.value, now) : peer;
}

async function bearer(db: Db, authorization: string, now: Date): Promise<Outcome<Caller>> {
  const text = /^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? "";
  const credential = parseCredential("at", text);
  if (credential === undefined) {
    return refuse({
      kind: "unauthenticated",
      why: "The Authorization header holds no API token: Bearer at_ID.SECRET",
    });
  }
  const token = await findApiToken(db, credential.id);
  // The same words for both, so that ids cannot be told apart from outside.
  if (token === undefined || !isSecret(credential.secret, token.secretHash)) {
    return refuse({
      kind: "unauthenticated",
      why: `The API token ${credential.id} is not known here, or its secret is wrong`,
    });
  }
  const state = { expiresAtMs: token.expiresAt.getTime(), isRevoked: token.revokedAt !== null };
  const operator = toOperator(token);
  const judged = judgeToken(credentialText(operator), state, now.getTime());
  if (!judged.ok) return judged;
  await touchApiToken(db, token.id, now);
  return accept(operator);
}

/** Who comes with an API token. */
export function toOperator({ id, name, role, scope, expiresAt, issuer, subject }: ApiToken): Operator {
  const login = issuer === null || subject === null ? {} : { login: { issuer, subject } };
  return { kind: "operator", tokenId: id as ApiTokenId, name, role, scope, expiresAt, ...login };
}

async function certified(on: Authentication, peer: Peer, now: Date): Promise<Outcome<AgentCaller>> {
  const stranger = refuse({
    kind: "unauthenticated",
    why: "The client certificate names no agent of this fleet: enrol again",
  });
  if (peer.org !== on.org) return stranger;
  const { issuer, trustedPins, bundleVersion } = on.cas();
  // The connection may be older than the end of its CA.
  if (!trustedPins.includes(peer.ca)) return droppedCa;
  const standing = await on.standingOf(peer);
  if (standing === undefined) return stranger;
  const judged = judgeCertificate(
    {
      serial: peer.serial,
      expiresAtMs: peer.expiresAt.getTime(),
      isOfNewestCa: peer.ca === issuer.pin,
    },
    {
      certificateSerial: standing.certificateSerial,
      certificateExpiresAtMs: standing.certificateExpiresAt.getTime(),
      // Where it is not known it is from the first CA.
      isOfNewestCa: (standing.certificateCa || (bundleVersion === 0 ? issuer.pin : "")) === issuer.pin,
      isRevoked: standing.revokedAt !== null,
      isRetired: standing.retiredAt !== null,
    },
    now.getTime(),
    on.agentCertificateMs,
  );
  if (!judged.ok) return judged;
  return accept({
    kind: "agent",
    clusterId: peer.clusterId,
    agentId: peer.agentId,
    publicKey: peer.publicKey,
    certificateSerial: peer.serial,
    certificateExpiresAt: peer.expiresAt,
    certificateCa: peer.ca,
    ...(judged.value === "newer" ? { replacesSerial: standing.certificateSerial } : {}),
  });
}
