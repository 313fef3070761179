import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";

/** How the agent reaches kube-apiserver: from inside, as its pod's service account. */
export interface KubeSettings {
  readonly url: URL;
  /** Holds `token` and `ca.crt`, as the kubelet puts them there. */
  readonly accountDir: string;
}

/** A refusal of kube-apiserver, or that it does not answer (then without a status). */
export class KubeError extends Error {
  override readonly name = "KubeError";
  readonly status: number | undefined;

  constructor(status: number | undefined, message: string) {
    super(message);
    this.status = status;
  }
}

type Body = Readonly<Record<string, unknown>>;

const answerMs = 10_000;
/** An object of 1 MiB, with what is kept about who wrote which field, and room. */
const bodyBytesMax = 4 * 1024 * 1024;
const apply = "application/apply-patch+yaml";

/**
 * The few calls that drivers make. The client of the Kubernetes project knows every kind and takes tens of MiB of memory for
 * it, in each agent.
 */
export class KubeApi {
  readonly #settings: KubeSettings;

  constructor(settings: KubeSettings) {
    this.#settings = settings;
  }

  get(path: string): Promise<Body> {
    return this.#ask("GET", path, undefined, "application/json");
  }

  /** Server-side apply; what another manager owns is a conflict, and never taken by force. */
  apply(path: string, manager: string, object: object): Promise<Body> {
    // JSON is YAML.
    return this.#ask("PATCH", `${path}?fieldManager=${encodeURIComponent(manager)}`, object, apply);
  }

  /** Replaces an object, if nobody did since its `resourceVersion`. */
  replace(path: string, object: object): Promise<Body> {
    return this.#ask("PUT", path, object, "application/json");
  }

  async #ask(method: string, path: string, object: object | undefined, type: string): Promise<Body> {
    const { status, body } = await this.#send(method, path, object, type);
    const answer = parsed(body);
    if (status >= 200 && status < 300 && answer !== undefined) return answer;
    const said = answer?.["message"];
    const why = typeof said === "string" ? said.slice(0, 1_000) : `it answers ${status}`;
    throw new KubeError(status, why);
  }

  #send(
    method: string,
    path: string,
    object: object | undefined,
    type: string,
  ): Promise<{ readonly status: number; readonly body: string }> {
    const { url, accountDir } = this.#settings;
    return new Promise((resolve, reject) => {
      const fail = (error: Error) =>
        reject(new KubeError(undefined, `${url.origin} does not answer: ${error.message}`));
      try {
        // Both are read each time: the kubelet renews the token, and the CA may be replaced.
        const ca = readFileSync(join(accountDir, "ca.crt"));
        const token = readFileSync(join(accountDir, "token"), "utf8").trim();
        const headers = {
          authorization: `Bearer ${token}`,
          "content-type": type,
          accept: "application/json",
        };
        const signal = AbortSignal.timeout(answerMs);
        const call = request(
          new URL(path, url),
          { method, ca, headers, signal, agent: false },
          (response) => {
            const chunks: Buffer[] = [];
            let bytes = 0;
            response.on("data", (chunk: Buffer) => {
              bytes += chunk.length;
              if (bytes > bodyBytesMax) {
                call.destroy(new Error(`its answer has more than ${bodyBytesMax} bytes`));
              }
              chunks.push(chunk);
            });
            response.on("error", fail);
            response.on("end", () =>
              resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
            );
          },
        );
        call.on("error", fail);
        call.end(object === undefined ? undefined : JSON.stringify(object));
      } catch (error) {
        fail(error as Error);
      }
    });
  }
}

function parsed(body: string): Body | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Body) : undefined;
  } catch {
    return undefined;
  }
}

/** A text in an answer; empty when it is none. */
export function textIn(body: Body, key: string): string {
  const text = body[key];
  return typeof text === "string" ? text : "";
}

/** A part of an answer that is an object; empty when it is none. */
export function partOf(body: Body, key: string): Body {
  const part = body[key];
  return typeof part === "object" && part !== null && !Array.isArray(part) ? (part as Body) : {};
}
