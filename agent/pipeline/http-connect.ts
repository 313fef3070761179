import * as http from "node:http";
import * as net from "node:net";
import * as tls from "node:tls";
import type { HttpEndpoint, ProxyConfig, TlsConfig } from "#shipper";
import { reasonOf } from "./files.ts";
import { readCaFile, readSecret, readSecretFile } from "./secret.ts";
import type { MayUseSecret } from "./secret.ts";

/** Where to connect to, and how. */
export type ConnectTarget = Pick<HttpEndpoint, "host" | "port" | "tls" | "proxy" | "connectTimeoutMs">;

/** What a server is told that we speak, unless it is something else than HTTP. */
const httpProtocols: readonly string[] = ["http/1.1"];

/** No connection could be made: nothing was sent, and nothing can have arrived. */
export class ConnectError extends Error {
  /** Whether the first hop answered at all, so that what failed is the proxy or TLS. */
  readonly isReached: boolean;

  constructor(message: string, isReached: boolean, cause?: unknown) {
    super(message, { cause });
    this.isReached = isReached;
  }
}

/**
 * A connection to an endpoint, through its proxy and TLS where it has them, within the connect timeout. Certificates and
 * keys are read now, so that replaced ones count from the next connection on.
 */
export async function connect(
  endpoint: ConnectTarget,
  mayUse: MayUseSecret,
  protocols: readonly string[] = httpProtocols,
): Promise<net.Socket> {
  const { tls: secure, proxy, connectTimeoutMs } = endpoint;
  const opened: net.Socket[] = [];
  let isReached = false;
  let timer: NodeJS.Timeout | undefined;
  const keep = <T extends net.Socket>(socket: T): T => {
    opened.push(socket);
    socket.once("connect", () => (isReached = true));
    return socket;
  };
  const late = new Promise<never>((_resolve, reject) => {
    const why = `no connection within ${connectTimeoutMs} ms`;
    timer = setTimeout(() => reject(new Error(why)), connectTimeoutMs);
  });
  try {
    const options = secure === undefined ? undefined : tlsOptions(endpoint, secure, mayUse, protocols);
    return await Promise.race([late, open(endpoint, proxy, options, keep)]);
  } catch (error) {
    for (const socket of opened) socket.destroy();
    // Without a socket it was a certificate or a key that could not be read.
    throw new ConnectError(reasonOf(error), isReached || opened.length === 0, error);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether the first hop of an endpoint can be connected to within a time. */
export function isReachable({ host, port, proxy }: ConnectTarget, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: proxy?.host ?? host, port: proxy?.port ?? port });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(timeoutMs, () => end(false));
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}

/** `host:port`, with brackets around an address that holds colons. */
export function authority(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** What a proxy wants to know, as headers. */
export function proxyHeaders({ credentials }: ProxyConfig): Readonly<Record<string, string>> {
  if (credentials === undefined) return {};
  const { user, password } = credentials;
  return { "proxy-authorization": `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
}

type Keep = <T extends net.Socket>(socket: T) => T;

async function open(
  { host, port }: ConnectTarget,
  proxy: ProxyConfig | undefined,
  secure: tls.ConnectionOptions | undefined,
  keep: Keep,
): Promise<net.Socket> {
  // A proxy is asked for a tunnel only for TLS; everything else is sent to it as it is.
  const plain =
    proxy === undefined || secure === undefined
      ? await openPlain(proxy?.host ?? host, proxy?.port ?? port, keep)
      : await openTunnel(proxy, authority(host, port), keep);
  return secure === undefined ? plain : openSecure({ ...secure, socket: plain }, keep);
}

function openPlain(host: string, port: number, keep: Keep): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = keep(net.connect({ host, port, noDelay: true, keepAlive: true }));
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

function openTunnel(proxy: ProxyConfig, target: string, keep: Keep): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const request = http.request({
      method: "CONNECT",
      host: proxy.host,
      port: proxy.port,
      path: target,
      agent: false,
      headers: { host: target, ...proxyHeaders(proxy) },
    });
    const via = `the proxy ${authority(proxy.host, proxy.port)}`;
    request.once("socket", keep);
    request.once("error", (error) => reject(new Error(`${via} cannot be used: ${error.message}`)));
    request.once("response", ({ statusCode }) => reject(new Error(`${via} answered ${statusCode}`)));
    request.once("connect", ({ statusCode }, socket: net.Socket) => {
      if (statusCode === 200) resolve(socket);
      else reject(new Error(`${via} answered ${statusCode} for ${target}`));
    });
    request.end();
  });
}

function openSecure(options: tls.ConnectionOptions, keep: Keep): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = keep(tls.connect(options));
    const closed = () => reject(new Error("the connection was closed during the TLS handshake"));
    socket.once("error", reject);
    socket.once("close", closed);
    socket.once("secureConnect", () => {
      socket.off("error", reject);
      socket.off("close", closed);
      resolve(socket);
    });
  });
}

function tlsOptions(
  { host }: ConnectTarget,
  { verify, caFile, vhost, client }: TlsConfig,
  mayUse: MayUseSecret,
  protocols: readonly string[],
): tls.ConnectionOptions {
  // An address cannot be asked for by name; the certificate has to hold it all the same.
  const name = vhost ?? (net.isIP(host) === 0 ? host : undefined);
  return {
    host: vhost ?? host,
    rejectUnauthorized: verify,
    ...(protocols.length === 0 ? {} : { ALPNProtocols: [...protocols] }),
    ...(name === undefined ? {} : { servername: name }),
    ...(caFile === undefined ? {} : { ca: readCaFile(caFile, mayUse) }),
    ...(client === undefined
      ? {}
      : {
          cert: readSecretFile(client.certFile, mayUse),
          key: readSecretFile(client.keyFile, mayUse),
          ...(client.password === undefined ? {} : { passphrase: readSecret(client.password, mayUse) }),
        }),
  };
}
