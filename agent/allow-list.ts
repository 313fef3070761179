import { readFileSync } from "node:fs";
import type { AllowList, ListenAddress } from "#shipper";
import { AgentError } from "./agent-error.ts";

const nothing: Required<AllowList> = {
  destinations: [],
  fileDirectories: [],
  secretDirectories: [],
  tailDirectories: [],
  listen: [],
};
const bytesMax = 1024 * 1024;

/**
 * The local allow-list: what a signed config may do on this node. It comes with the agent's installation, never over the
 * link; without a file nothing is allowed.
 */
export function readAllowList(file: string | undefined): AllowList {
  if (file === undefined) return nothing;
  const fail = (why: string) =>
    new AgentError(
      "config/allow-list",
      `FALCONRY_ALLOW_FILE ${file} ${why}. Expected {"destinations": [{"host", "port", "tls": "required" or "optional"}], ` +
        `"fileDirectories": [...], "tailDirectories": [...], "secretDirectories": [...], "listen": [{"host", "port"}]}`,
    );
  let value: unknown;
  try {
    const text = readFileSync(file, "utf8");
    if (text.length > bytesMax) throw new Error("it is larger than 1 MiB");
    value = JSON.parse(text);
  } catch (error) {
    throw fail(`cannot be read: ${(error as Error).message}`);
  }
  if (!isRecord(value)) throw fail("is no object");
  const unknown = Object.keys(value).find((key) => !Object.hasOwn(nothing, key));
  if (unknown !== undefined) throw fail(`has an unknown key "${unknown}"`);
  const { destinations = [], fileDirectories = [], tailDirectories = [] } = value;
  const { secretDirectories = [], listen = [] } = value;
  if (!isDirectories(fileDirectories)) throw fail("has fileDirectories that are no list of absolute paths");
  if (!isDirectories(tailDirectories)) throw fail("has tailDirectories that are no list of absolute paths");
  if (!isDirectories(secretDirectories)) {
    throw fail("has secretDirectories that are no list of absolute paths");
  }
  if (!Array.isArray(destinations) || !destinations.every(isDestination)) {
    throw fail("has a destination without host, port and tls");
  }
  if (!Array.isArray(listen) || !listen.every(isAddress)) {
    throw fail("has an address to listen on without host and port");
  }
  return { destinations, fileDirectories, tailDirectories, secretDirectories, listen };
}

function isDirectories(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((path) => typeof path === "string" && path.startsWith("/"));
}

function isDestination(value: unknown): value is AllowList["destinations"][number] {
  if (!isRecord(value)) return false;
  const { host, port, tls } = value;
  return (
    typeof host === "string" &&
    host !== "" &&
    Number.isInteger(port) &&
    (tls === "required" || tls === "optional")
  );
}

function isAddress(value: unknown): value is ListenAddress {
  if (!isRecord(value)) return false;
  const { host, port } = value;
  return typeof host === "string" && host !== "" && Number.isInteger(port);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
