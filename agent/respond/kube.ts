import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";

/** Where kube-apiserver is, and the folder with the `token` and `ca.crt` that this agent has for it. */
export interface KubeAccess {
  /** https://host:port */
  readonly url: string;
  readonly dir: string;
}

/** A pod, as far as a response looks at it. */
export interface Pod {
  readonly uid: string;
  readonly createdMs: number;
  /** Whether the kubelet made it from a file: kube-apiserver only shows it, and deleting it there does nothing. */
  readonly isMirror: boolean;
}

/** The little of a cluster's API that responses need. Every call has a time limit and rejects with a sentence. */
export interface KubePort {
  /** Undefined when there is none. */
  pod(namespace: string, name: string): Promise<Pod | undefined>;
  /** Sets labels of this very pod and no other of its name. */
  label(
    namespace: string,
    name: string,
    uid: string,
    labels: Readonly<Record<string, string>>,
  ): Promise<void>;
  /** Makes sure that pods with the label may talk to nobody. */
  closeOff(namespace: string, label: readonly [string, string]): Promise<void>;
  /** Deletes this very pod and no other of its name. */
  remove(namespace: string, name: string, uid: string): Promise<void>;
}

const callMs = 10_000;
const answerBytesMax = 4 * 1024 * 1024;
const fieldManager = "falconry-response";
export const closedPolicyName = "falconry-isolated";

/** Opens the API of the cluster that the agent runs in. The token is read at each call, because the kubelet renews it. */
export function openKube(access: KubeAccess): KubePort {
  const call = (method: string, path: string, body?: object, type = "application/json") =>
    ask(access, method, path, body, type);
  const podPath = (namespace: string, name: string) =>
    `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
  return {
    async pod(namespace, name) {
      const { status, body } = await call("GET", podPath(namespace, name));
      if (status === 404) return undefined;
      return readPod(expectDone("get pod", status, body));
    },
    async label(namespace, name, uid, labels) {
      // The UID is a precondition: of another pod it is another, and cannot be changed.
      const patch = { metadata: { uid, labels } };
      const type = "application/merge-patch+json";
      const { status, body } = await call("PATCH", podPath(namespace, name), patch, type);
      expectDone("label pod", status, body);
    },
    async closeOff(namespace, [key, value]) {
      const policies = `/apis/networking.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/networkpolicies`;
      const policy = {
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: { name: closedPolicyName, namespace, labels: { "app.kubernetes.io/part-of": "falconry" } },
        spec: { podSelector: { matchLabels: { [key]: value } }, policyTypes: ["Ingress", "Egress"] },
      };
      const path = `${policies}/${closedPolicyName}?fieldManager=${fieldManager}&force=true`;
      const { status, body } = await call("PATCH", path, policy, "application/apply-patch+yaml");
      expectDone("apply network policy", status, body);
    },
    async remove(namespace, name, uid) {
      const options = { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid } };
      const { status, body } = await call("DELETE", podPath(namespace, name), options);
      expectDone("delete pod", status, body);
    },
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

function ask(
  { url, dir }: KubeAccess,
  method: string,
  path: string,
  body: object | undefined,
  type: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const token = readFileSync(join(dir, "token"), "utf8").trim();
    const sent = body === undefined ? "" : JSON.stringify(body);
    const headers = {
      accept: "application/json",
      authorization: `Bearer ${token}`,
      ...(sent === "" ? {} : { "content-type": type, "content-length": String(Buffer.byteLength(sent)) }),
    };
    const options = {
      method,
      headers,
      ca: readFileSync(join(dir, "ca.crt")),
      signal: AbortSignal.timeout(callMs),
    };
    const asked = request(new URL(path, url), options, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > answerBytesMax) {
          asked.destroy(new Error(`it answers with more than ${answerBytesMax} bytes`));
        } else chunks.push(chunk);
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
      );
      response.on("error", reject);
    });
    asked.on("error", reject);
    asked.end(sent);
  });
}

/** The body of an answer that says that it was done. Throws with what kube-apiserver says otherwise. */
function expectDone(what: string, status: number, body: string): unknown {
  const answer = parsed(body);
  if (status >= 200 && status < 300) return answer;
  const { message } = (answer ?? {}) as { message?: unknown };
  const why = typeof message === "string" ? message.slice(0, 400) : "";
  throw new Error(`cannot ${what}: kube-apiserver answers ${status} ${why}`.trim());
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function readPod(value: unknown): Pod {
  const { metadata } = (value ?? {}) as { metadata?: Readonly<Record<string, unknown>> };
  const { uid, creationTimestamp, annotations } = metadata ?? {};
  const createdMs = typeof creationTimestamp === "string" ? Date.parse(creationTimestamp) : Number.NaN;
  if (typeof uid !== "string" || Number.isNaN(createdMs)) {
    throw new Error("cannot get pod: kube-apiserver answers with what is no pod");
  }
  const mirror = "kubernetes.io/config.mirror";
  return {
    uid,
    createdMs,
    isMirror: typeof annotations === "object" && annotations !== null && mirror in annotations,
  };
}
