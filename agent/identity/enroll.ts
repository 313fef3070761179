import { randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import writeFileAtomic from "write-file-atomic";
import type { EnrollResponse } from "#proto/agent/v1/enrollment";
import {
  certificateToPem,
  createCsr,
  emptyTrusted,
  generatePrivateKey,
  parseJoinAddress,
  parseJoinString,
  spkiPinOfPem,
} from "#trust";
import type { JoinAddress } from "#trust";
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

const serviceAccountTokenBytesMax = 8 * 1024;

/**
 * Trades the join string, or the word of the cluster, for an identity: checks the server against the pin, asks with a key that stays here, pins the
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
    // It spoke with servers of these CAs before; the join string may be older than the last of them.
    const caPins = [...new Set([...join.caPins, ...before.ca.map(spkiPinOfPem)])];
    const { identity } = await ask({ ...join, caPins }, { clusterName, clusterUid, agentName, privateKey });
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

function wanted(config: Config): { join: Join; clusterName: string } {
  const { joinString, clusterName, serviceAccountTokenFile } = config;
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
  return { join: readJoin(joinString, serviceAccountTokenFile), clusterName };
}

/** Where to join, and by what. */
interface Join extends JoinAddress {
  readonly proof:
    | { readonly kind: "token"; readonly token: string }
    | { readonly kind: "service-account"; readonly file: string };
}

/** A join string has its token in it. One without is an address, and the cluster vouches. */
function readJoin(text: string, serviceAccountTokenFile: string | undefined): Join {
  if (serviceAccountTokenFile !== undefined && !text.includes("@")) {
    const address = parseJoinAddress(text);
    if (!address.ok) throw new AgentError("enroll/bad-join-string", address.refusal.message);
    return { ...address.value, proof: { kind: "service-account", file: serviceAccountTokenFile } };
  }
  const join = parseJoinString(text);
  if (!join.ok) throw new AgentError("enroll/bad-join-string", join.refusal.message);
  const { tokenId, secret } = join.value;
  return { ...join.value, proof: { kind: "token", token: `${tokenId}.${secret}` } };
}

type Asking = Pick<Identity, "clusterName" | "clusterUid" | "agentName" | "privateKey">;

/** Checks the server against the pin, then asks it for an identity. */
async function ask(
  join: Join,
  asking: Asking,
): Promise<{ readonly response: EnrollResponse; readonly identity: Identity }> {
  const ca = await fetchPinnedCa(join.host, join.port, join.caPins, nextFor(join, asking.clusterName));
  const csr = await createCsr(asking.privateKey);
  const response = await withEnrollmentClient({ url: urlOf(join), ca: [ca] }, (client) =>
    client.enroll(
      {
        ...proofOf(join),
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

/** A new CA takes new pins, which come as the old ones came. */
function nextFor({ proof }: Join, clusterName: string): string {
  if (proof.kind === "token") return "create a new token: fleetctl token create";
  return `run again, for the join address of now, fleetctl cluster onboard ${clusterName} --context CONTEXT, or fleetctl cluster trust-issuer where Helm or kustomize keeps the agent`;
}

/** The kubelet renews a service-account token, so that it is read anew with each try. */
function proofOf({ proof }: Join): { token?: string; serviceAccountToken?: string } {
  if (proof.kind === "token") return { token: proof.token };
  try {
    const { size } = statSync(proof.file);
    if (size > serviceAccountTokenBytesMax) throw new Error(`it has ${size} bytes`);
    const serviceAccountToken = readFileSync(proof.file, "utf8").trim();
    if (serviceAccountToken === "") throw new Error("it is empty");
    return { serviceAccountToken };
  } catch (error) {
    throw new AgentError(
      "enroll/no-service-account-token",
      `The service-account token ${proof.file} cannot be read: ${(error as Error).message}. The pod needs a projected volume with it: fleetctl cluster onboard --join kubernetes makes one`,
    );
  }
}

function identityOf(response: EnrollResponse, join: JoinAddress, own: Asking): Identity {
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

function keepTrust(path: string, response: EnrollResponse, join: JoinAddress): void {
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

function urlOf(join: JoinAddress): string {
  return `https://${join.host.includes(":") ? `[${join.host}]` : join.host}:${join.port}`;
}

function isPassing(error: unknown): boolean {
  if (error instanceof AgentError) return error.code === "enroll/server-away";
  return (
    error instanceof ConnectError &&
    [Code.Unavailable, Code.DeadlineExceeded, Code.ResourceExhausted].includes(error.code)
  );
}

function inWords(error: unknown, join: JoinAddress): Error {
  if (!(error instanceof ConnectError)) return error as Error;
  return new AgentError(
    "enroll/refused",
    `The server at ${join.host}:${join.port} refused the enrolment: ${error.rawMessage}`,
  );
}
