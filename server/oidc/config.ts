import { readFileSync } from "node:fs";

import { parse } from "yaml";

import { duration } from "../config.ts";
import type { LoginRule } from "../domain/login.ts";
import { isRole, roles } from "../domain/permission.ts";
import { sentence } from "../domain/refusal.ts";
import { parseScope, wholeFleet, type Scope } from "../domain/scope.ts";
import { Failure } from "../failure.ts";

/** How people log in, as the file says. */
export interface OidcConfig {
  /** As tokens carry it in `iss`. */
  readonly issuer: string;
  readonly clientId: string;
  /** Tokens have to be meant for one of these. */
  readonly audiences: readonly string[];
  /** OAuth scopes that `fleetctl` asks for. */
  readonly scopes: readonly string[];
  readonly sessionMs: number;
  readonly rules: readonly LoginRule[];
}

const fileBytesMax = 256 * 1024;
const rulesMax = 1_000;
const fields = ["issuer", "clientId", "audience", "scopes", "sessionTtl", "rules"];
const ruleFields = ["claim", "value", "role", "scope"];
const defaults = { scopes: ["openid", "email", "offline_access"], sessionTtl: "1h" } as const;

/** Reads the file. Lists every problem at once, with exit code 2: a server with half a mapping must not start. */
export function readOidcFile(path: string): OidcConfig {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    throw new Failure(`FALCONRY_OIDC_FILE: ${path} cannot be read (${code})`, 2);
  }
  const problems: string[] = [];
  const config = parseOidcConfig(text, (problem) => problems.push(problem));
  if (problems.length > 0 || config === undefined) {
    throw new Failure(`FALCONRY_OIDC_FILE: ${path} is wrong:\n  ${problems.join("\n  ")}`, 2);
  }
  return config;
}

type Report = (problem: string) => void;
type Fields = Readonly<Record<string, unknown>>;

function parseOidcConfig(text: string, report: Report): OidcConfig | undefined {
  if (text.length > fileBytesMax) {
    report(`it is longer than ${fileBytesMax} characters`);
    return undefined;
  }
  let root: unknown;
  try {
    root = parse(text, { maxAliasCount: 0, uniqueKeys: true });
  } catch (error) {
    report(error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error));
    return undefined;
  }
  if (!isFields(root)) {
    report(`it holds no fields; it takes ${fields.join(", ")}`);
    return undefined;
  }
  for (const key of Object.keys(root)) {
    if (!fields.includes(key)) report(`there is no field "${key}"; it takes ${fields.join(", ")}`);
  }
  const clientId = textOf(root, "clientId", report);
  const ttl = root["sessionTtl"] === undefined ? defaults.sessionTtl : textOf(root, "sessionTtl", report);
  const sessionMs = duration(60_000, 12 * 3_600_000)(ttl);
  if (typeof sessionMs !== "number") report(`sessionTtl ${sessionMs.problem}`);
  return {
    issuer: issuerOf(root, report),
    clientId,
    audiences: root["audience"] === undefined ? [clientId] : textsOf(root, "audience", report),
    scopes: root["scopes"] === undefined ? defaults.scopes : textsOf(root, "scopes", report),
    sessionMs: typeof sessionMs === "number" ? sessionMs : 0,
    rules: rulesOf(root["rules"], report),
  };
}

/** Keys are fetched from where the issuer says, so it is https; but for a provider on the same machine. */
function issuerOf(root: Fields, report: Report): string {
  const text = textOf(root, "issuer", report);
  if (text === "") return "";
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url !== undefined && url.search === "" && url.hash === "" && url.username === "";
  if (!isPlain || !isSafe(url)) report(`issuer: "${text.slice(0, 120)}" is no https address`);
  return text;
}

/** Whether what is fetched from an address comes from whom we think. */
function isSafe(url: URL): boolean {
  if (url.protocol === "https:") return true;
  return url.protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
}

function rulesOf(value: unknown, report: Report): readonly LoginRule[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > rulesMax) {
    report(`rules: has to be a list of 1 to ${rulesMax} rules; without one nobody could log in`);
    return [];
  }
  return value.map((each: unknown, i) => ruleOf(each, (problem) => report(`rules[${i}]: ${problem}`)));
}

function ruleOf(value: unknown, report: Report): LoginRule {
  const rule = isFields(value) ? value : {};
  for (const key of Object.keys(rule)) {
    if (ruleFields.includes(key)) continue;
    report(`there is no field "${key}"; a rule takes ${ruleFields.join(", ")}`);
  }
  const role = textOf(rule, "role", report);
  if (role !== "" && !isRole(role)) report(`role: "${role.slice(0, 80)}" is none of ${roles.join(", ")}`);
  return {
    claim: textsOf(rule, "claim", report),
    values: textsOf(rule, "value", report),
    role: isRole(role) ? role : "viewer",
    scope: scopeOf(rule["scope"], report),
  };
}

/** Labels and their values. "scope: fleet" says that it is the whole fleet: that is never a matter of forgetting. */
function scopeOf(value: unknown, report: Report): Scope {
  if (value === "fleet") return wholeFleet;
  if (!isFields(value) || Object.keys(value).length === 0) {
    report('scope: has to be labels, for example {team: payments}, or "fleet" for every cluster');
    return wholeFleet;
  }
  const raw = Object.keys(value).map((key) => ({
    key,
    operator: "in",
    values: textsOf(value, key, (problem) => report(`scope: ${problem}`)),
  }));
  const scope = parseScope("scope", raw);
  if (scope.ok) return scope.value;
  report(sentence(scope.refusal));
  return wholeFleet;
}

function textOf(from: Fields, field: string, report: Report): string {
  const value = from[field];
  if (typeof value === "string" && value !== "" && value.length <= 2_000) return value;
  report(`${field}: has to be a text of 1 to 2000 characters`);
  return "";
}

/** One text, or a list of them. */
function textsOf(from: Fields, field: string, report: Report): readonly string[] {
  const value: unknown = from[field];
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  const texts = all.filter((each) => typeof each === "string" && each !== "" && each.length <= 2_000);
  if (texts.length === 0 || texts.length !== all.length || texts.length > 256) {
    report(`${field}: has to be a text or a list of 1 to 256 texts`);
  }
  return texts as readonly string[];
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
