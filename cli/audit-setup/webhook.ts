import { X509Certificate } from "node:crypto";

import { parse } from "yaml";

import { type Failure, misused, refused } from "../failure.ts";
import { readFileBounded } from "../load-bundle.ts";

const caBytesMax = 256 * 1024;
const tokenBytesMax = 64 * 1024;
/** What the client config calls the receiver. */
const ourName = "falconry";
const usual = "--webhook-url https://127.0.0.1:9880/audit";

export interface WebhookTarget {
  readonly url: string;
  /** Certificates in PEM that the receiver's has to come from; without them the system's authorities are asked. */
  readonly ca?: string;
  /** A file on the API server's host with a bearer token, which is read again when it changes. */
  readonly tokenFile?: string;
}

/** Reads and judges what a person said about the receiver. Throws a failure for what an API server could not start with. */
export async function webhookTarget(
  url: string,
  caFile: string | undefined,
  tokenFile: string | undefined,
): Promise<WebhookTarget> {
  const { protocol } = checkedUrl(url);
  if (protocol === "http:" && (caFile ?? tokenFile) !== undefined) {
    throw misused(
      `--webhook-url "${url}" is without TLS: kube-apiserver sends no token there and checks no certificate`,
      `${usual}, with tls in the agent's input`,
    );
  }
  if (tokenFile !== undefined && !tokenFile.startsWith("/")) {
    throw misused(
      `--webhook-token-file "${tokenFile}" is no absolute path`,
      "/etc/kubernetes/audit/token, which is mounted under the same name",
    );
  }
  return {
    url,
    ...(caFile === undefined ? {} : { ca: await readCertificates(caFile) }),
    ...(tokenFile === undefined ? {} : { tokenFile }),
  };
}

/** What is written down about requests must not pass a network in the clear. */
function checkedUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw misused(`--webhook-url "${text}" is no URL of http or https`, usual);
  }
  if (url.username !== "" || url.password !== "") {
    throw misused("--webhook-url has a user or password in it", "Give a token with --webhook-token-file.");
  }
  if (url.protocol === "http:" && !isLoopback(url.hostname)) {
    throw misused(
      `--webhook-url "${text}" would send the audit log over the network in the clear`,
      "https, or http to 127.0.0.1 where the agent is on the API server's own host",
    );
  }
  return url;
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** The certificates of a file in PEM, without anything that stands beside them. */
async function readCertificates(path: string): Promise<string> {
  const text = Buffer.from(await readFileBounded(path, caBytesMax)).toString("latin1");
  const wrong = (why: string) =>
    misused(`${path} ${why}`, "--webhook-ca takes the certificates of the receiver's authority, in PEM.");
  if (text.includes("PRIVATE KEY")) throw wrong("holds a private key, which the API server must not get");
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw wrong("holds no certificate in PEM");
  const certificates = blocks.map((block, index) => {
    try {
      return new X509Certificate(block).toString();
    } catch (cause) {
      throw wrong(`holds a certificate (${index + 1}) that cannot be read: ${(cause as Error).message}`);
    }
  });
  return certificates.join("");
}

/** Throws a failure when there is no token in the file: with such a file kube-apiserver does not start. */
export async function checkTokenFile(path: string): Promise<void> {
  const text = Buffer.from(await readFileBounded(path, tokenBytesMax)).toString("utf8");
  if (/^[\x21-\x7e]+$/.test(text.trim())) return;
  throw misused(
    `${path} holds no token of one line`,
    "--webhook-token-file takes the token of the agent's bearer_token_file; make one with: openssl rand -hex 32",
  );
}

/** The client config of the webhook backend: a kubeconfig of one cluster, which needs no other file but the token's. */
export function webhookConfig({ url, ca, tokenFile }: WebhookTarget): object {
  const authority =
    ca === undefined ? {} : { "certificate-authority-data": Buffer.from(ca).toString("base64") };
  const user = tokenFile === undefined ? "" : ourName;
  return {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: ourName, cluster: { server: url, ...authority } }],
    ...(tokenFile === undefined ? {} : { users: [{ name: user, user: { tokenFile } }] }),
    contexts: [{ name: ourName, context: { cluster: ourName, user } }],
    "current-context": ourName,
  };
}

/** That a client config which somebody else wrote stays, for it may name the only receiver of their events. */
export function otherWebhook(path: string, there: string): Failure | undefined {
  if (isOurs(there)) return undefined;
  return refused(
    `${path} holds a webhook's client config that is not ours: nothing was changed`,
    "To have ours beside it: --webhook-path PATH, one where no file is",
    "To replace it: move the file away, and then run this again. kube-apiserver sends events to one webhook alone.",
  );
}

/** Whether a client config leads where we said, by the names that we gave. */
function isOurs(text: string): boolean {
  try {
    const config = parse(text) as Partial<Record<string, unknown>> | null;
    const clusters = config?.["clusters"];
    if (config?.["current-context"] !== ourName || !Array.isArray(clusters)) return false;
    return clusters.length === 1 && (clusters[0] as { name?: unknown } | null)?.name === ourName;
  } catch {
    // What is no YAML is not ours either.
    return false;
  }
}
