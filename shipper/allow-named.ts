import { fixedPart } from "./allow.ts";
import type { AllowList, Destination } from "./allow.ts";
import type { PipelineConfig } from "./config.ts";

/** What a config asks for, and not a bit more: for people who have read it and run it themselves. */
export function allowNamed(config: PipelineConfig): AllowList {
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
  };
}

/**
 * What a config may do without being asked about: read and write below the given folders, and send to this machine. What
 * it does elsewhere somebody has to have seen.
 */
export function allowHere(config: PipelineConfig, folders: readonly string[]): AllowList {
  return {
    destinations: allowNamed(config).destinations.filter(({ host }) => isLoopback(host)),
    fileDirectories: folders,
    tailDirectories: folders,
  };
}

function destinationsOf(config: PipelineConfig): Destination[] {
  return config.outputs.flatMap((output) =>
    "host" in output ? [{ host: output.host, port: output.port, tls: "optional" as const }] : [],
  );
}

function distinct(destinations: readonly Destination[]): Destination[] {
  return [...new Map(destinations.map((one) => [`${one.host}:${one.port}`, one])).values()];
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
