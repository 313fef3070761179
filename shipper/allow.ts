import type { HttpInputConfig, InputConfig, OutputConfig, PipelineConfig } from "./config.ts";
import type { HttpEndpoint, ProxyConfig, Secret, TlsConfig } from "./http-config.ts";
import { problemAt } from "./problem.ts";
import type { Problem } from "./problem.ts";

/** What this agent may read and where it may send, whatever anybody signed. Nothing listed means nothing allowed. */
export interface AllowList {
  readonly destinations: readonly Destination[];
  /** Outputs write files only below these folders. */
  readonly fileDirectories: readonly string[];
  /** Inputs read files only below these folders. */
  readonly tailDirectories: readonly string[];
  /** Passwords, tokens, certificates and keys are used from files only below these folders. */
  readonly secretDirectories?: readonly string[];
  /** Inputs listen only on these addresses; none when it is missing. */
  readonly listen?: readonly ListenAddress[];
}

/** An address as a config writes it, such as 127.0.0.1 or 0.0.0.0. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface Destination {
  readonly host: string;
  readonly port: number;
  /** `required`: TLS on, and the certificate verified. */
  readonly tls: "required" | "optional";
  /** What `tls.vhost` and a header `Host` may say instead of the host. */
  readonly serverName?: string;
}

/** Where systems keep the certificates of public CAs: outputs may trust those without being listed. */
export const publicCaDirectories: readonly string[] = ["/etc/ssl", "/etc/pki", "/usr/share/ca-certificates"];

/**
 * What in a parsed config this agent may not do; empty means all is allowed. Judges names as they are written: whoever
 * opens a file has to judge its real path again with `isBelow`, because a link can lead anywhere.
 */
export function checkAllowed(config: PipelineConfig, allowList: AllowList): readonly Problem[] {
  const problems: Problem[] = [];
  const { monitor } = config.service;
  // What is served there is for looking only, so the machine itself may look without being listed.
  if (monitor !== undefined && !isLoopback(monitor.host)) {
    for (const message of listenProblems(monitor.host, monitor.port, allowList.listen ?? [])) {
      problems.push(problemAt(monitor.at, message));
    }
  }
  for (const input of config.inputs) {
    for (const message of inputProblems(input, allowList)) problems.push(problemAt(input.at, message));
  }
  for (const output of config.outputs) {
    const message = outputProblem(output, allowList);
    if (message !== undefined) problems.push(problemAt(output.at, message));
  }
  return problems;
}

function inputProblems(input: InputConfig, allowList: AllowList): readonly string[] {
  switch (input.plugin) {
    case "tail": {
      const allowed = listed(allowList.tailDirectories);
      return input.paths
        .filter((path) => !isBelowAny(fixedPart(path), allowList.tailDirectories))
        .map((path) => `This agent may not read "${path}": it may read below ${allowed}`);
    }
    case "http":
      return [
        ...listenProblems(input.listen, input.port, allowList.listen ?? []),
        ...serverFileProblems(input, allowList),
      ];
    case "stdin":
    case "dummy":
      return [];
  }
}

function listenProblems(
  listen: string,
  port: number,
  addresses: readonly ListenAddress[],
): readonly string[] {
  if (addresses.some((one) => one.host === listen && one.port === port)) return [];
  const allowed = listed(addresses.map((one) => `${one.host}:${one.port}`));
  return [`This agent may not listen on ${listen}:${port}: it may listen on ${allowed}`];
}

function serverFileProblems(
  { bearerTokenFile, tls }: HttpInputConfig,
  allowList: AllowList,
): readonly string[] {
  const paths = [bearerTokenFile, tls?.certFile, tls?.keyFile].filter((path) => path !== undefined);
  const directories = allowList.secretDirectories ?? [];
  const denied = deniedSecret(paths, directories) ?? deniedCa(tls?.caFile, directories);
  return denied === undefined ? [] : [denied];
}

function outputProblem(output: OutputConfig, allowList: AllowList): string | undefined {
  switch (output.plugin) {
    case "file": {
      if (isBelowAny(output.directory, allowList.fileDirectories)) return undefined;
      const allowed = listed(allowList.fileDirectories);
      return `This agent may not write to "${output.directory}": it may write below ${allowed}`;
    }
    case "http":
    case "es":
    case "opensearch":
    case "loki":
      return endpointProblem(output, allowList);
    case "forward":
      return (
        destinationProblem(output, output, allowList) ??
        secretProblem([output.sharedKey, output.password], output.tls, allowList.secretDirectories ?? [])
      );
    case "kafka":
      return (
        output.brokers
          .map((broker) => destinationProblem(broker, output, allowList))
          .find((problem) => problem !== undefined) ??
        secretProblem([output.sasl?.password], output.tls, allowList.secretDirectories ?? [])
      );
    case "stdout":
    case "null":
    case "detect":
    case "fleet":
      return undefined;
  }
}

/** Behind one address there can be many hosts, and the header says which one a request is for. */
function headerProblem({ host, port, headers }: HttpEndpoint, allowList: AllowList): string | undefined {
  const { serverName = host } = destinationOf({ host, port }, allowList) ?? {};
  const own = [host, serverName].flatMap((name) => [name, `${name}:${port}`]).map(lower);
  const other = headers.find(([name, value]) => lower(name) === "host" && !own.includes(lower(value)));
  if (other === undefined) return undefined;
  return `This agent may not ask ${host}:${port} for the host "${other[1]}": ${serverNameHint}`;
}

const serverNameHint = 'it may when its allow-list has that as the "serverName" of the destination';

/** A proxy sees everything but TLS, and where that goes: it has to be allowed, too. */
function endpointProblem(endpoint: HttpEndpoint, allowList: AllowList): string | undefined {
  const { proxy } = endpoint;
  return (
    destinationProblem(endpoint, endpoint, allowList) ??
    headerProblem(endpoint, allowList) ??
    (proxy === undefined ? undefined : proxyProblem(proxy, endpoint, allowList)) ??
    secretProblem(secretsOf(endpoint), endpoint.tls, allowList.secretDirectories ?? [])
  );
}

/** A proxy is connected to in plain; what it hands on is TLS when that is on, with a certificate of the destination. */
function proxyProblem(proxy: ProxyConfig, { tls }: HttpEndpoint, allowList: AllowList): string | undefined {
  const plain = tls === undefined ? undefined : { ...tls, vhost: undefined };
  return destinationProblem(proxy, { tls: plain }, allowList);
}

/** Why a destination may not be sent to, or undefined when it may. */
export function destinationProblem(
  to: { readonly host: string; readonly port: number },
  { tls }: Pick<HttpEndpoint, "tls">,
  allowList: AllowList,
): string | undefined {
  const found = destinationOf(to, allowList);
  if (found === undefined) {
    const allowed = listed(allowList.destinations.map((d) => `${d.host}:${d.port}`));
    return `This agent may not send to ${to.host}:${to.port}: it may send to ${allowed}`;
  }
  if (found.tls === "optional") return undefined;
  if (tls?.verify !== true) {
    return `This agent sends to ${to.host}:${to.port} only with "tls on" and "tls.verify on"`;
  }
  const name = lower(tls.vhost ?? to.host);
  if (name === lower(to.host) || name === lower(found.serverName ?? to.host)) return undefined;
  return `This agent may not take ${to.host}:${to.port} for "${tls.vhost}": ${serverNameHint}`;
}

/** Hosts are compared as they are written: an address in another form is another host, and not listed. */
function destinationOf(
  { host, port }: { readonly host: string; readonly port: number },
  { destinations }: AllowList,
): Destination | undefined {
  return destinations.find((one) => lower(one.host) === lower(host) && one.port === port);
}

function lower(text: string): string {
  return text.toLowerCase();
}

function secretsOf({ auth }: HttpEndpoint): readonly (Secret | undefined)[] {
  return [auth?.kind === "basic" ? auth.password : auth?.token];
}

/** What is in a file must not leave with a request only because a config says so. */
function secretProblem(
  secrets: readonly (Secret | undefined)[],
  tls: TlsConfig | undefined,
  directories: readonly string[],
): string | undefined {
  const paths = [
    ...[...secrets, tls?.client?.password].flatMap((one) => (one?.kind === "file" ? [one.path] : [])),
    ...(tls?.client === undefined ? [] : [tls.client.certFile, tls.client.keyFile]),
  ];
  return deniedSecret(paths, directories) ?? deniedCa(tls?.caFile, directories);
}

function deniedCa(path: string | undefined, directories: readonly string[]): string | undefined {
  if (path === undefined || isBelowAny(path, [...directories, ...publicCaDirectories])) return undefined;
  const allowed = [...directories, ...publicCaDirectories].join(", ");
  return `This agent may not trust the CA file "${path}": it may use files below ${allowed}`;
}

function deniedSecret(paths: readonly string[], directories: readonly string[]): string | undefined {
  const denied = paths.find((path) => !isBelowAny(path, directories));
  if (denied === undefined) return undefined;
  return `This agent may not use the secret "${denied}": it may use files below ${listed(directories)}`;
}

/** Whether an absolute path is one of the folders or below one, judged by names; `..` is below nothing. */
export function isBelowAny(path: string, directories: readonly string[]): boolean {
  return directories.some((directory) => isBelow(path, directory));
}

/** Whether `path` is `directory` or below it, judged by names; `..` is below nothing. */
export function isBelow(path: string, directory: string): boolean {
  const inner = parts(path);
  const outer = parts(directory);
  if (!path.startsWith("/") || !directory.startsWith("/")) return false;
  if (inner.includes("..") || outer.includes("..")) return false;
  return outer.every((part, index) => part === inner[index]);
}

/** The folder in which a glob begins to vary, so that `/var/log/*` is not below /var/log/audit; a plain path is itself. */
export function fixedPart(glob: string): string {
  const all = glob.split("/");
  if (all.includes("..")) return "..";
  const wild = all.findIndex((part) => /[*?[\]{}]/.test(part));
  return wild === -1 ? glob : all.slice(0, wild).join("/") || "/";
}

/** Whether a host, as it is written, is this machine. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

function parts(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

function listed(values: readonly string[]): string {
  return values.length === 0 ? "nothing, because its allow-list is empty" : values.join(", ");
}
