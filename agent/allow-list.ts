import { readFileSync } from "node:fs";
import type { AllowList, ListenAddress } from "#shipper";
import { responseActions } from "#trust";
import { AgentError } from "./agent-error.ts";
import { isProtected } from "./domain/response.ts";
import type { ResponseGrant } from "./domain/response.ts";
import type { RuleGuard } from "./pipeline/protect.ts";

/** What this node allows, and what it insists on. */
export type LocalPolicy = AllowList &
  RuleGuard & {
    /** Undefined where nothing may be done about alerts. */
    readonly responses?: ResponseGrant;
  };

const nothing: Required<Omit<LocalPolicy, "responses">> = {
  destinations: [],
  fileDirectories: [],
  secretDirectories: [],
  tailDirectories: [],
  listen: [],
  protectedRules: [],
  releasedRules: [],
};
const bytesMax = 1024 * 1024;
const perHourMax = 100;
const namespacesMax = 200;

/**
 * The local allow-list: what a signed config may do on this node. It comes with the agent's installation, never over the
 * link; without a file nothing is allowed.
 */
export function readAllowList(file: string | undefined): LocalPolicy {
  if (file === undefined) return nothing;
  const fail = (why: string) =>
    new AgentError(
      "config/allow-list",
      `FALCONRY_ALLOW_FILE ${file} ${why}. Expected {"destinations": [{"host", "port", "tls": "required" or "optional", and "serverName" if the certificate has another}], ` +
        `"fileDirectories": [...], "tailDirectories": [...], "secretDirectories": [...], "listen": [{"host", "port"}], "protectedRules": [...], "releasedRules": [...], ` +
        `"responses": {"actions": [...], "namespaces": [...], "perHour": 1 to ${perHourMax}}}`,
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
  const unknown = Object.keys(value).find((key) => !Object.hasOwn(nothing, key) && key !== "responses");
  if (unknown !== undefined) throw fail(`has an unknown key "${unknown}"`);
  const { destinations = [], fileDirectories = [], tailDirectories = [] } = value;
  const { secretDirectories = [], listen = [], protectedRules = [], releasedRules = [] } = value;
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
  if (!isNames(protectedRules)) throw fail("has protectedRules that are no list of names of rules");
  if (!isNames(releasedRules)) throw fail("has releasedRules that are no list of names of rules");
  const { responses } = value;
  if (responses !== undefined && !isGrant(responses)) {
    throw fail(
      "has responses without known actions, namespaces that are none of Kubernetes' own, and perHour",
    );
  }
  return {
    ...(responses === undefined ? {} : { responses }),
    destinations,
    fileDirectories,
    tailDirectories,
    secretDirectories,
    listen,
    protectedRules,
    releasedRules,
  };
}

function isDirectories(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((path) => typeof path === "string" && path.startsWith("/"));
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string" && name !== "");
}

function isGrant(value: unknown): value is ResponseGrant {
  if (!isRecord(value)) return false;
  const { actions, namespaces, perHour, ...more } = value;
  return (
    Object.keys(more).length === 0 &&
    Array.isArray(actions) &&
    actions.every((action) => responseActions.some((each) => each === action)) &&
    isNames(namespaces) &&
    namespaces.length <= namespacesMax &&
    !namespaces.some(isProtected) &&
    Number.isInteger(perHour) &&
    Number(perHour) >= 1 &&
    Number(perHour) <= perHourMax
  );
}

function isDestination(value: unknown): value is AllowList["destinations"][number] {
  if (!isRecord(value)) return false;
  const { host, port, tls, serverName = host } = value;
  return (
    typeof host === "string" &&
    typeof serverName === "string" &&
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
