import { readFileSync } from "node:fs";
import writeFileAtomic from "write-file-atomic";
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
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
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
  return { ...(identity as Identity), caVersion: identity.caVersion ?? 0 };
}

/** Replaces the identity; durable before it returns. */
export function writeIdentity(path: string, identity: Identity): void {
  writeFileAtomic.sync(path, JSON.stringify(identity), { mode: 0o600 });
}

export function endpointOf(identity: Identity): Endpoint {
  return { url: identity.server, ca: identity.ca, cert: identity.certificateChain, key: identity.privateKey };
}
