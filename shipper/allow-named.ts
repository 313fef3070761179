import { fixedPart, isLoopback } from "./allow.ts";
import type { AllowList, Destination } from "./allow.ts";
import type { PipelineConfig } from "./config.ts";

/** What a config asks for, and not a bit more: for people who have read it and run it themselves. */
export function allowNamed(config: PipelineConfig): AllowList {
  const { monitor } = config.service;
  const tailDirectories = config.inputs.flatMap((input) =>
    "paths" in input ? input.paths.map(fixedPart) : [],
  );
  const fileDirectories = config.outputs.flatMap((output) =>
    output.plugin === "file" ? [output.directory] : [],
  );
  return {
    destinations: distinct(destinationsOf(config)),
    fileDirectories: [...new Set(fileDirectories)],
    tailDirectories: [...new Set(tailDirectories)],
    secretDirectories: [...new Set([...config.inputs, ...config.outputs].flatMap(secretFiles))],
    listen: [
      ...config.inputs.flatMap((input) =>
        input.plugin === "http" ? [{ host: input.listen, port: input.port }] : [],
      ),
      ...(monitor === undefined ? [] : [{ host: monitor.host, port: monitor.port }]),
    ],
  };
}

/**
 * What a config may do without being asked about: read and write below the given folders, send to this machine, and listen
 * to it. What it does elsewhere somebody has to have seen.
 */
export function allowHere(config: PipelineConfig, folders: readonly string[]): AllowList {
  const named = allowNamed(config);
  return {
    destinations: named.destinations.filter(({ host }) => isLoopback(host)),
    listen: (named.listen ?? []).filter(({ host }) => isLoopback(host)),
    fileDirectories: folders,
    tailDirectories: folders,
    secretDirectories: folders,
  };
}

function destinationsOf(config: PipelineConfig): Destination[] {
  return config.outputs.flatMap((output) => {
    const proxy = "proxy" in output ? output.proxy : undefined;
    const named = "brokers" in output ? output.brokers : "host" in output ? [output] : [];
    const headers = "headers" in output ? output.headers : [];
    const header = headers.find(([name]) => name.toLowerCase() === "host")?.[1];
    const serverName = header === undefined ? {} : { serverName: header };
    return [
      ...named.map(({ host, port }) => ({ host, port, tls: "optional" as const, ...serverName })),
      ...(proxy === undefined ? [] : [{ host: proxy.host, port: proxy.port, tls: "optional" as const }]),
    ];
  });
}

/** Files that a plugin reads secrets from, wherever in its config they stand. */
function secretFiles(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  const { kind, path, certFile, keyFile, caFile, bearerTokenFile } = value as Record<string, unknown>;
  const own = [kind === "file" ? path : undefined, certFile, keyFile, caFile, bearerTokenFile];
  return [...own.filter((one) => typeof one === "string"), ...Object.values(value).flatMap(secretFiles)];
}

function distinct(destinations: readonly Destination[]): Destination[] {
  return [...new Map(destinations.map((one) => [`${one.host}:${one.port}`, one])).values()];
}
