import { createHash, timingSafeEqual } from "node:crypto";
import * as fs from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import type { Socket } from "node:net";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import type { HttpInputConfig } from "#shipper";
import { codeOf, reasonOf } from "./files.ts";
import { readCaFile, readSecretFile } from "./secret.ts";
import type { MayUseSecret } from "./secret.ts";

/** What a request gets. */
export interface Answer {
  readonly status: number;
  readonly text?: string;
  readonly headers?: http.OutgoingHttpHeaders;
}

export interface ListenerPorts {
  /** Takes a body; the answer says what became of it. */
  readonly take: (body: Buffer) => Promise<Answer>;
  readonly onAnswer: (status: number) => void;
  readonly onProblem: (code: string, message: string) => void;
}

/** How long a client may take; `checkMs` is how often that is looked at. */
export interface ListenerLimits {
  readonly headersMs: number;
  readonly requestMs: number;
  readonly checkMs: number;
}

export const listenerLimits: ListenerLimits = { headersMs: 10_000, requestMs: 60_000, checkMs: 5_000 };

const connectionsMax = 512;
const requestsMax = 128;
const closeMs = 5000;
const filesMs = 10_000;
const gunzipAsync = promisify(gunzip);

/** Refused for now; the client comes again, as the API server does. */
const busy = (why: string): Answer => ({ status: 429, text: why, headers: { "retry-after": "1" } });

/** The HTTP side of the input: bounds, credentials and bodies. What bodies mean is not its business. */
export class HttpListener {
  readonly #config: HttpInputConfig;
  readonly #ports: ListenerPorts;
  readonly #server: http.Server;
  readonly #files: WatchedFiles;
  #requests = 0;
  /** Bytes of bodies that are held in memory. */
  #bytes = 0;
  #isClosing = false;

  /** Throws when a file that it needs cannot be read. */
  constructor(
    config: HttpInputConfig,
    ports: ListenerPorts,
    mayUse: MayUseSecret,
    { headersMs, requestMs, checkMs }: ListenerLimits,
  ) {
    this.#config = config;
    this.#ports = ports;
    this.#files = new WatchedFiles(config, mayUse);
    const limits = {
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      connectionsCheckingInterval: checkMs,
      keepAliveTimeout: 75_000,
    };
    const { tls } = config;
    this.#server =
      tls === undefined
        ? http.createServer(limits)
        : https.createServer({ ...limits, ...this.#files.secrets, requestCert: tls.verifyClient });
    this.#server.maxConnections = connectionsMax;
    this.#server.on("request", (request, response) => void this.#handle(request, response));
    this.#server.on("checkContinue", (request, response) => void this.#handle(request, response));
    this.#server.on("clientError", (error: Error, socket: Socket) => {
      const isSlow = codeOf(error) === "ERR_HTTP_REQUEST_TIMEOUT";
      const status = isSlow ? "408 Request Timeout" : "400 Bad Request";
      if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
    });
  }

  /** The port, also when the config left the choice to the system. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : this.#config.port;
  }

  listen(): Promise<void> {
    const { listen, port } = this.#config;
    return new Promise((resolve, reject) => {
      const failed = (error: Error): void => {
        reject(new Error(`cannot listen on ${listen}:${port}: ${reasonOf(error)}`));
      };
      this.#server.once("error", failed);
      this.#server.listen(port, listen, () => {
        this.#server.off("error", failed);
        this.#server.on("error", (error) => this.#ports.onProblem("http/server", reasonOf(error)));
        resolve();
      });
    });
  }

  /** Takes up certificates and tokens that were replaced; the old ones stay when the new ones cannot be used. */
  refresh(nowMs: number): void {
    try {
      if (!this.#files.refresh(nowMs)) return;
      if (this.#server instanceof https.Server) this.#server.setSecureContext(this.#files.secrets);
    } catch (error) {
      this.#ports.onProblem("http/files", `the files it had before are used: ${reasonOf(error)}`);
    }
  }

  /** Takes no further connection, answers what is under way, and then hangs up. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const timer = setTimeout(() => this.#server.closeAllConnections(), closeMs);
    await closed;
    clearTimeout(timer);
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    let answer: Answer;
    this.#requests++;
    try {
      answer = this.#refusal(request) ?? (await this.#take(request, response));
    } catch (error) {
      // A client that hangs up in the middle of its body has nobody to blame but itself, and accepted is nothing.
      if (request.complete) this.#ports.onProblem("http/request", reasonOf(error));
      answer = request.complete
        ? { status: 500, text: "the request could not be taken" }
        : { status: 400, text: "the body is cut off" };
    } finally {
      this.#requests--;
    }
    this.#ports.onAnswer(answer.status);
    // A body that was not read to its end leaves nothing that a further request could follow.
    if (this.#isClosing || !request.complete) response.setHeader("connection", "close");
    const text = answer.text === undefined ? "" : `${answer.text}\n`;
    response.writeHead(answer.status, {
      "content-length": Buffer.byteLength(text),
      ...(text === "" ? {} : { "content-type": "text/plain; charset=utf-8" }),
      ...answer.headers,
    });
    response.end(text);
  }

  /** What is wrong with a request before its body is read. */
  #refusal(request: http.IncomingMessage): Answer | undefined {
    const { method = "", url = "", headers } = request;
    const [path = ""] = url.split("?", 1);
    if (!this.#config.paths.includes(path)) return { status: 404, text: "nothing is taken under this path" };
    if (method !== "POST") return { status: 405, text: "only POST is taken", headers: { allow: "POST" } };
    if (!this.#files.isAuthorized(headers.authorization)) {
      return {
        status: 401,
        text: "a bearer token is missing, or another one",
        headers: { "www-authenticate": "Bearer" },
      };
    }
    const encoding = headers["content-encoding"] ?? "identity";
    if (encoding !== "identity" && encoding !== "gzip") {
      return { status: 415, text: "bodies may be plain or gzip", headers: { "accept-encoding": "gzip" } };
    }
    if (Number(headers["content-length"] ?? 0) > this.#config.bodyBytesMax) return this.#tooLarge();
    if (this.#isClosing) {
      return { status: 503, text: "the agent is stopping", headers: { "retry-after": "1" } };
    }
    if (this.#requests > requestsMax) return busy(`more than ${requestsMax} requests at once`);
    return undefined;
  }

  async #take(request: http.IncomingMessage, response: http.ServerResponse): Promise<Answer> {
    if (request.headers.expect !== undefined) response.writeContinue();
    const chunks: Buffer[] = [];
    let held = 0;
    try {
      // Not the request itself: leaving the loop early would hang up before the client has its answer.
      const body = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
      for await (const chunk of body) {
        chunks.push(chunk);
        held += chunk.length;
        this.#bytes += chunk.length;
        if (held > this.#config.bodyBytesMax) return this.#tooLarge();
        if (this.#bytes > 4 * this.#config.bodyBytesMax) return busy("too many bytes are under way at once");
      }
      const whole = Buffer.concat(chunks);
      if (request.headers["content-encoding"] !== "gzip") return await this.#ports.take(whole);
      const plain = await this.#unzip(whole);
      return Buffer.isBuffer(plain) ? await this.#ports.take(plain) : plain;
    } finally {
      this.#bytes -= held;
    }
  }

  async #unzip(body: Buffer): Promise<Buffer | Answer> {
    try {
      return await gunzipAsync(body, { maxOutputLength: this.#config.bodyBytesMax });
    } catch (error) {
      if (codeOf(error) === "ERR_BUFFER_TOO_LARGE") return this.#tooLarge();
      return { status: 400, text: `the body is no gzip: ${reasonOf(error)}` };
    }
  }

  #tooLarge(): Answer {
    const text = `the body is larger than ${this.#config.bodyBytesMax} bytes (buffer_max_size)`;
    return { status: 413, text };
  }
}

/** Certificates, keys and the token, read again when they change: whoever renews them restarts nobody. */
class WatchedFiles {
  secrets: https.ServerOptions = {};
  readonly #config: HttpInputConfig;
  readonly #mayUse: MayUseSecret;
  #token: Buffer | undefined;
  #changed = "";
  #lookedAt = 0;

  constructor(config: HttpInputConfig, mayUse: MayUseSecret) {
    this.#config = config;
    this.#mayUse = mayUse;
    this.#read();
    this.#changed = this.#times();
  }

  /** Whether something changed. */
  refresh(nowMs: number): boolean {
    if (nowMs - this.#lookedAt < filesMs) return false;
    this.#lookedAt = nowMs;
    const times = this.#times();
    if (times === this.#changed) return false;
    this.#changed = times;
    this.#read();
    return true;
  }

  isAuthorized(header: string | undefined): boolean {
    if (this.#token === undefined) return true;
    const given = /^Bearer +(\S+)$/i.exec(header ?? "")?.[1];
    return given !== undefined && timingSafeEqual(hashOf(given), this.#token);
  }

  #read(): void {
    const { tls, bearerTokenFile } = this.#config;
    if (bearerTokenFile !== undefined) {
      const token = readSecretFile(bearerTokenFile, this.#mayUse).toString("utf8").trim();
      if (token === "") throw new Error(`${bearerTokenFile} holds no token`);
      this.#token = hashOf(token);
    }
    if (tls === undefined) return;
    this.secrets = {
      cert: readSecretFile(tls.certFile, this.#mayUse),
      key: readSecretFile(tls.keyFile, this.#mayUse),
      minVersion: "TLSv1.2",
      ...(tls.caFile === undefined ? {} : { ca: readCaFile(tls.caFile, this.#mayUse) }),
    };
  }

  #times(): string {
    const { tls, bearerTokenFile } = this.#config;
    const paths = [bearerTokenFile, tls?.certFile, tls?.keyFile, tls?.caFile];
    return paths.map((path) => (path === undefined ? "" : timeOf(path))).join(" ");
  }
}

function timeOf(path: string): string {
  const stat = fs.statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "none" : `${stat.mtimeMs}:${stat.ino}:${stat.size}`;
}

function hashOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
