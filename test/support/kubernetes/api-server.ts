import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { stringify } from "yaml";
import { fakeTls } from "../fake-tls.ts";
import { Api, type ApiOptions, type ApiRequest } from "./api.ts";
import { createIssuer, type TestIssuer } from "./issuer.ts";
import { builtIn, targetOf } from "./resources.ts";
import { byFields, byLabels } from "./selectors.ts";
import { ApiError } from "./status.ts";
import { Store } from "./store.ts";

/** A kube-apiserver in this process: real HTTPS, with a kubeconfig that leads to it. */
export interface FakeApiServer {
  readonly store: Store;
  readonly issuer: TestIssuer;
  /** The path of a kubeconfig with one context, `fake`. */
  readonly kubeconfig: string;
  readonly url: string;
  /** Requests as `PATCH /apis/apps/v1/...`, oldest first. */
  readonly requests: readonly string[];
}

export interface ServerOptions extends Partial<ApiOptions> {
  readonly historyMax?: number;
  /** Takes the audit event of each request that was answered, as the log backend does. */
  readonly audited?: (event: object) => void;
}

/** Listens on loopback until the test ends. */
export async function startApiServer(t: TestContext, options: ServerOptions = {}): Promise<FakeApiServer> {
  const store = new Store(options.historyMax);
  const issuer = options.issuer ?? createIssuer();
  const api = new Api(store, {
    served: builtIn,
    version: "v1.34.2",
    user: "platform-team",
    allows: () => true,
    denies: () => undefined,
    logOf: () => "",
    issuer,
    ...options,
  });
  const tls = await fakeTls();
  const token = randomBytes(16).toString("hex");
  const requests: string[] = [];
  const server = createServer({ cert: tls.chain, key: tls.key }, (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const auditId = randomUUID();
    response.setHeader("audit-id", auditId);
    response.on("finish", () => options.audited?.(auditEvent(auditId, request, response.statusCode)));
    void handle(api, store, token, request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = `https://localhost:${port}`;
  return { store, issuer, url, requests, kubeconfig: await writeKubeconfig(t, url, tls.ca, token) };
}

const verbs: Readonly<Record<string, string>> = {
  GET: "get",
  POST: "create",
  PATCH: "patch",
  DELETE: "delete",
};

/** At level Metadata: who asked for what, and whether it was there. */
function auditEvent(auditID: string, { method = "GET", url = "/" }: IncomingMessage, code: number): object {
  const target = targetOf(url.replace(/\?.*/, ""), builtIn);
  const at = new Date().toISOString();
  const objectRef =
    target === undefined
      ? {}
      : {
          objectRef: {
            resource: target.resource.plural,
            ...(target.namespace === "" ? {} : { namespace: target.namespace }),
            ...(target.name === "" ? {} : { name: target.name }),
            apiVersion: target.resource.version,
          },
        };
  const isList = method === "GET" && target?.name === "";
  return {
    kind: "Event",
    apiVersion: "audit.k8s.io/v1",
    level: "Metadata",
    auditID,
    stage: "ResponseComplete",
    requestURI: url,
    verb: isList ? "list" : (verbs[method] ?? method.toLowerCase()),
    user: { username: "platform-team", groups: ["system:authenticated"] },
    sourceIPs: ["10.0.0.9"],
    ...objectRef,
    responseStatus: { metadata: {}, code },
    requestReceivedTimestamp: at,
    stageTimestamp: at,
  };
}

async function writeKubeconfig(t: TestContext, server: string, ca: string, token: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "falconry-kubeconfig-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, "config");
  const data = Buffer.from(ca).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "fake",
    clusters: [{ name: "fake", cluster: { server, "certificate-authority-data": data } }],
    users: [{ name: "fake", user: { token } }],
    contexts: [{ name: "fake", context: { cluster: "fake", user: "fake" } }],
  };
  await writeFile(file, stringify(config), { mode: 0o600 });
  return file;
}

async function handle(
  api: Api,
  store: Store,
  token: string,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    if (incoming.headers.authorization !== `Bearer ${token}`) {
      throw new ApiError(401, "Unauthorized", "Unauthorized");
    }
    const url = new URL(incoming.url ?? "/", "https://localhost");
    const request: ApiRequest = {
      method: incoming.method ?? "GET",
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      contentType: incoming.headers["content-type"] ?? "application/json",
      body: await text(incoming),
    };
    if (request.query.get("watch") === "true") return watch(api, store, request, response);
    const answer = await api.answer(request);
    if (typeof answer === "string") response.writeHead(200, { "content-type": "text/plain" }).end(answer);
    else send(response, request.method === "POST" ? 201 : 200, answer);
  } catch (error) {
    const known = error instanceof ApiError ? error : new ApiError(500, "InternalError", String(error));
    send(response, known.code, known.status());
  }
}

function send(response: ServerResponse, code: number, body: object): void {
  response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** Streams changes as lines of JSON; a version that is too old is an event of its own, as kube-apiserver does it. */
function watch(api: Api, store: Store, request: ApiRequest, response: ServerResponse): void {
  const { resource, namespace } = api.target(request);
  const labels = byLabels(request.query.get("labelSelector"));
  const fields = byFields(request.query.get("fieldSelector"));
  response.writeHead(200, { "content-type": "application/json" });
  response.flushHeaders();
  const tell = (type: string, object: object) => response.write(`${JSON.stringify({ type, object })}\n`);
  try {
    const stop = store.watch(Number(request.query.get("resourceVersion") ?? "0"), (change) => {
      const { object } = change;
      if (change.resource !== resource) return;
      if (namespace !== "" && object.metadata.namespace !== namespace) return;
      if (labels(object) && fields(object)) tell(change.type, object);
    });
    response.on("close", stop);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    tell("ERROR", error.status());
    response.end();
  }
}
