import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import writeFileAtomic from "write-file-atomic";
import type { EnrollResponse } from "#proto/agent/v1/enrollment";
import { certificateToPem, createCsr, emptyTrusted, generatePrivateKey, parseJoinString } from "#trust";
import type { JoinString } from "#trust";
import { AgentError } from "../agent-error.ts";
import type { Config } from "../config.ts";
import { pathsOf } from "../config.ts";
import { openCurrent } from "../current.ts";
import { askedDelayMs, retryDelayMs } from "../domain/backoff.ts";
import { retryAfterOf } from "../link/retry-after.ts";
import { withEnrollmentClient } from "../link/clients.ts";
import { writeTrusted } from "../trust-store.ts";
import { agentVersion } from "../version.ts";
import { checkIssued, writeIdentity } from "./identity.ts";
import type { Identity } from "./identity.ts";
import { fetchPinnedCa } from "./pinned-ca.ts";

/**
 * Trades the join string for an identity: checks the server against the pin, asks with a key that stays here, pins the
 * trust root. Tries again while the server is away; ends with an error when it says no.
 */
export async function enroll(config: Config, log: Logger, signal: AbortSignal): Promise<Identity> {
  const { join, clusterName } = wanted(config);
  const paths = pathsOf(config.stateDir);
  mkdirSync(dirname(paths.identity), { recursive: true, mode: 0o700 });
  mkdirSync(dirname(paths.trusted), { recursive: true, mode: 0o700 });
  const clusterUid = config.clusterUid ?? keptClusterUid(paths.clusterUid);
  const privateKey = keptKey(paths.pendingKey);
  for (let failures = 0; ; failures += 1) {
    try {
      const own = { clusterName, clusterUid, agentName: config.agentName, privateKey };
      const { response, identity } = await ask(join, own);
      keepTrust(paths.trusted, response, join);
      const current = openCurrent(paths.current);
      current.set({ ...current.get(), labels: response.labels });
      // Last: an agent with an identity is enrolled, and everything else is there by then.
      writeIdentity(paths.identity, identity);
      rmSync(paths.pendingKey, { force: true });
      return identity;
    } catch (error) {
      const ownMs = retryDelayMs(failures, Math.random());
      const askedMs = retryAfterOf(error);
      const delayMs = askedMs === undefined ? ownMs : askedDelayMs(askedMs, ownMs, Math.random());
      if (!isPassing(error) || signal.aborted) throw inWords(error, join);
      log.warn({ because: (error as Error).message, delayMs }, "enrolment has to wait, will try again");
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }
}

/**
 * One try to enrol anew with the join string at hand, for an agent whose certificate expired while it was away. It stays
 * the agent that it was, and what it trusts stays as it is. Writes the new identity before it answers.
 */
export async function enrollAgain(config: Config, before: Identity): Promise<Identity> {
  const { clusterName, clusterUid, agentName } = before;
  const { join } = wanted({ ...config, clusterName });
  const paths = pathsOf(config.stateDir);
  try {
    const privateKey = keptKey(paths.pendingKey);
    const { identity } = await ask(join, { clusterName, clusterUid, agentName, privateKey });
    if (identity.org !== before.org || identity.clusterId !== before.clusterId) {
      throw new AgentError(
        "enroll/other-cluster",
        `The join string leads to cluster ${identity.clusterId} of "${identity.org}", and this agent belongs to ${before.clusterId} of "${before.org}": use a join string of its own fleet, or remove the state directory to begin anew`,
      );
    }
    writeIdentity(paths.identity, identity);
    rmSync(paths.pendingKey, { force: true });
    return identity;
  } catch (error) {
    throw inWords(error, join);
  }
}

function wanted(config: Config): { join: JoinString; clusterName: string } {
  const { joinString, clusterName } = config;
  if (joinString === undefined || joinString === "") {
    throw new AgentError(
      "enroll/no-join-string",
      "This agent is not enrolled and has no join string: set FALCONRY_JOIN_FILE to a file that holds what `fleetctl token create --region REGION` printed",
    );
  }
  if (clusterName === undefined || clusterName === "") {
    throw new AgentError(
      "enroll/no-cluster",
      "FALCONRY_CLUSTER is not set: give the name that the cluster shall have in the fleet",
    );
  }
  const join = parseJoinString(joinString);
  if (!join.ok) throw new AgentError("enroll/bad-join-string", join.refusal.message);
  return { join: join.value, clusterName };
}

type Asking = Pick<Identity, "clusterName" | "clusterUid" | "agentName" | "privateKey">;

/** Checks the server against the pin, then asks it for an identity. */
async function ask(
  join: JoinString,
  asking: Asking,
): Promise<{ readonly response: EnrollResponse; readonly identity: Identity }> {
  const ca = await fetchPinnedCa(join.host, join.port, join.caPins);
  const csr = await createCsr(asking.privateKey);
  const response = await withEnrollmentClient({ url: urlOf(join), ca: [ca] }, (client) =>
    client.enroll(
      {
        token: `${join.tokenId}.${join.secret}`,
        clusterName: asking.clusterName,
        clusterUid: asking.clusterUid,
        agentName: asking.agentName,
        csr,
        agentVersion,
        rootPin: join.rootPin,
      },
      { timeoutMs: 30_000 },
    ),
  );
  return { response, identity: identityOf(response, join, asking) };
}

function identityOf(response: EnrollResponse, join: JoinString, own: Asking): Identity {
  const { org, clusterId, agentId, caCertificates } = response;
  const named = { ...own, org, clusterId, agentId, server: urlOf(join) };
  const ca = caCertificates.map(certificateToPem);
  return {
    ...named,
    ...checkIssued(response.certificateChain, caCertificates, named),
    ca,
    caVersion: 0,
    caAssigners: [],
  };
}

function keepTrust(path: string, response: EnrollResponse, join: JoinString): void {
  const trusted = emptyTrusted(response.root, join.rootPin);
  if (!trusted.ok) throw new AgentError(trusted.refusal.code, trusted.refusal.message);
  writeTrusted(path, trusted.value);
}

/** The key of an enrolment that is under way: kept, so that asking again after a lost answer does not use a token twice. */
function keptKey(path: string): string {
  return kept(path, generatePrivateKey);
}

/** Outside Kubernetes a cluster has no UID of its own; the first start gives it one. */
function keptClusterUid(path: string): string {
  return kept(path, randomUUID);
}

function kept(path: string, make: () => string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const text = make();
  writeFileAtomic.sync(path, text, { mode: 0o600 });
  return text;
}

function urlOf(join: JoinString): string {
  return `https://${join.host.includes(":") ? `[${join.host}]` : join.host}:${join.port}`;
}

function isPassing(error: unknown): boolean {
  if (error instanceof AgentError) return error.code === "enroll/server-away";
  return (
    error instanceof ConnectError &&
    [Code.Unavailable, Code.DeadlineExceeded, Code.ResourceExhausted].includes(error.code)
  );
}

function inWords(error: unknown, join: JoinString): Error {
  if (!(error instanceof ConnectError)) return error as Error;
  return new AgentError(
    "enroll/refused",
    `The server at ${join.host}:${join.port} refused the enrolment: ${error.rawMessage}`,
  );
}
