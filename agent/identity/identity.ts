import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import writeFileAtomic from "write-file-atomic";
import { certificateToPem, checkAgentCertificate, spiffeId } from "#trust";
import { AgentError } from "../agent-error.ts";
import type { Endpoint } from "../link/clients.ts";

/** Who this agent is, and how it proves it. One file, readable by its owner only; the key never leaves it. */
export interface Identity {
  readonly org: string;
  readonly clusterId: string;
  readonly clusterName: string;
  readonly clusterUid: string;
  readonly agentId: string;
  readonly agentName: string;
  /** https://host:port */
  readonly server: string;
  /** PEM; PKCS #8. */
  readonly privateKey: string;
  /** PEM, the agent's certificate first. */
  readonly certificateChain: string;
  /** PEM, those to trust. */
  readonly ca: readonly string[];
  /** The version of the signed list that they are from; 0 for those of the enrolment. */
  readonly caVersion: number;
  /** Ids of the assignment keys that counted when that list was taken. */
  readonly caAssigners: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * The version below which no list of CAs is taken. None after a root with other assignment keys: else a thief of the former
 * ones who raised it would keep every later list away.
 */
export function caFloor(
  { caVersion, caAssigners }: Pick<Identity, "caVersion" | "caAssigners">,
  assigners: readonly string[],
): number {
  return caAssigners.some((id) => assigners.includes(id)) ? caVersion : 0;
}

/**
 * The parts of an identity that a server issues. A certificate that is for another key or another agent, or that none of
 * the CAs signed, is not taken: the agent could never connect with it again.
 */
export function checkIssued(
  certificateChain: readonly Uint8Array[],
  cas: readonly Uint8Array[],
  own: Pick<Identity, "org" | "clusterId" | "agentId" | "privateKey">,
): Pick<Identity, "certificateChain" | "notBeforeMs" | "notAfterMs"> {
  const [leaf] = certificateChain;
  if (leaf === undefined) throw unusable("it is missing");
  const read = checkAgentCertificate(leaf, cas, new Date());
  // A clock that is off is a condition of its own, and no reason to go without a certificate.
  if (!read.ok && !["trust/expired", "trust/not-yet-valid"].includes(read.refusal.code)) {
    throw unusable(read.refusal.message);
  }
  const certificate = new X509Certificate(leaf);
  if (!certificate.checkPrivateKey(createPrivateKey(own.privateKey))) throw unusable("it is for another key");
  if (certificate.subjectAltName !== `URI:${spiffeId(own)}`) {
    throw unusable(`it is for "${certificate.subjectAltName}" and not for this agent`);
  }
  return {
    certificateChain: certificateChain.map(certificateToPem).join("\n"),
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
  };
}

function unusable(why: string): AgentError {
  return new AgentError(
    "enroll/no-certificate",
    `The server answered without a certificate that this agent can use: ${why}. This is a fault of the server`,
  );
}

/** The stored identity, or undefined before enrolment. */
export function readIdentity(path: string): Identity | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return complete(JSON.parse(text));
  } catch (error) {
    throw new AgentError(
      "state/damaged",
      `${path} cannot be read: ${(error as Error).message}. Restore it, or remove the state directory and enrol again with a new token`,
    );
  }
}

const texts = [
  "org",
  "clusterId",
  "clusterName",
  "clusterUid",
  "agentId",
  "agentName",
  "server",
  "privateKey",
  "certificateChain",
] as const;

/** Damage is found here, by name, and not later as a TLS error that means nothing. */
function complete(value: unknown): Identity {
  const identity = value as Partial<Identity> | null;
  const missing = texts.find((key) => typeof identity?.[key] !== "string");
  if (missing !== undefined) throw new Error(`"${missing}" is missing`);
  if (!Array.isArray(identity?.ca)) throw new Error('"ca" is missing');
  // Identities from before CAs could be replaced have the ones of their enrolment.
  return {
    ...(identity as Identity),
    caVersion: identity.caVersion ?? 0,
    caAssigners: identity.caAssigners ?? [],
  };
}

/** Replaces the identity; durable before it returns. */
export function writeIdentity(path: string, identity: Identity): void {
  writeFileAtomic.sync(path, JSON.stringify(identity), { mode: 0o600 });
}

export function endpointOf(identity: Identity): Endpoint {
  return { url: identity.server, ca: identity.ca, cert: identity.certificateChain, key: identity.privateKey };
}
