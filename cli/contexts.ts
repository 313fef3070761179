import { X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { Failure } from "./failure.ts";
import { misused } from "./failure.ts";

/** A server, the CA that its certificate must come from, and a token for it. */
export interface Context {
  /** `https://HOST:PORT`. */
  readonly server: string;
  /** PEM. */
  readonly ca: string;
  /** Secret. */
  readonly token: string;
  /** How the token was come by, when by a login; absent for an API token. */
  readonly login?: StoredLogin;
}

/** A login as it is kept between commands. */
export interface StoredLogin {
  readonly issuer: string;
  readonly clientId: string;
  /** Milliseconds since 1970; the token is useless then. */
  readonly expiresAt: number;
  /** Gets the next token without asking. Secret; absent when the provider gives none. */
  readonly refreshToken?: string;
}

/** A token with less than this left is renewed first, so that it lasts for the command. */
const earlyMs = 60_000;

/** Whether the token of a login has to be renewed before it is used. */
export function isDue(login: StoredLogin | undefined): boolean {
  return login !== undefined && login.expiresAt - Date.now() < earlyMs;
}

export interface Contexts {
  /** The one that commands use without `--context`; absent when there is none yet. */
  readonly current?: string;
  readonly contexts: Readonly<Record<string, Context>>;
}

const bytesMax = 1024 * 1024;

/** Where contexts are kept: `FLEETCTL_CONFIG`, or below the user's config directory. */
export function contextsPath(env: Readonly<Record<string, string | undefined>>): string {
  const chosen = env["FLEETCTL_CONFIG"];
  if (chosen !== undefined && chosen !== "") return chosen;
  const xdg = env["XDG_CONFIG_HOME"];
  const base = xdg !== undefined && xdg !== "" ? xdg : join(env["HOME"] ?? homedir(), ".config");
  return join(base, "falconry", "contexts.json");
}

/** The stored contexts; none when there is no file. Throws a failure that names the file when it is no contexts file. */
export async function readContexts(path: string): Promise<Contexts> {
  let text: string;
  try {
    // At once: the machinery that reads beside other work costs more than this file.
    text = readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    if (code === "ENOENT") return { contexts: {} };
    throw misused(
      `The contexts file ${path} cannot be read (${code})`,
      "Check who owns it, or point FLEETCTL_CONFIG at another file.",
    );
  }
  if (text.length > bytesMax) throw broken(path, "it is larger than 1 MiB");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw broken(path, (error as Error).message);
  }
  return parseContexts(path, value);
}

/**
 * Changes the stored contexts: reads them, and saves what `change` makes of them, if anything. One command at a time does,
 * so that none undoes what another stored meanwhile.
 */
export async function changeContexts(
  path: string,
  change: (stored: Contexts) => Contexts | undefined | Promise<Contexts | undefined>,
): Promise<void> {
  makeDirectory(path);
  // Most commands only read: what writes is loaded when one does.
  const { withLock } = await import("./lock.ts");
  await withLock(`${path}.lock`, async () => {
    const next = await change(await readContexts(path));
    if (next !== undefined) await saveContexts(path, next);
  });
}

/** Replaces the contexts file at once, readable by its owner only. */
async function saveContexts(path: string, contexts: Contexts): Promise<void> {
  try {
    const { default: writeFileAtomic } = await import("write-file-atomic");
    await writeFileAtomic(path, `${JSON.stringify(contexts, undefined, 2)}\n`, { mode: 0o600 });
  } catch (error) {
    throw unwritable(path, error);
  }
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw unwritable(path, error);
  }
}

function unwritable(path: string, error: unknown): Failure {
  const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
  return misused(
    `The contexts file ${path} cannot be written (${code})`,
    "Check the directory and the free space.",
  );
}

/** Adds or replaces a context and makes it the current one. */
export function withContext(contexts: Contexts, name: string, context: Context): Contexts {
  return { current: name, contexts: { ...contexts.contexts, [name]: context } };
}

/** Checks a server address: https, a host, nothing after the port. */
export function parseServer(text: string): string {
  const example = "Write it as https://HOST:PORT, for example https://fleet.example.com:7443";
  let url: URL;
  try {
    url = new URL(text.includes("://") ? text : `https://${text}`);
  } catch {
    throw misused(`The server address "${text}" cannot be read`, example);
  }
  if (url.protocol !== "https:") throw misused(`The server address "${text}" is not https`, example);
  if (url.username !== "" || url.password !== "") {
    throw misused(`The server address may not hold a user or a password`, example);
  }
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") {
    throw misused(`The server address "${text}" has something after the port`, example);
  }
  return url.origin;
}

/** Checks that a text holds at least one certificate in PEM and nothing that is none. */
export function parseCa(text: string, from: string): string {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  const readable = blocks.every((block) => {
    try {
      return new X509Certificate(block).raw.length > 0;
    } catch {
      return false;
    }
  });
  if (blocks.length === 0 || !readable) {
    throw misused(
      `${from} does not hold a CA certificate in PEM`,
      "Ask an admin of the fleet for the CA certificate.",
    );
  }
  return `${blocks.join("\n")}\n`;
}

function parseContexts(path: string, value: unknown): Contexts {
  if (!isRecord(value) || !isRecord(value["contexts"])) {
    throw broken(path, 'there is no "contexts" object in it');
  }
  const contexts: Record<string, Context> = {};
  for (const [name, entry] of Object.entries(value["contexts"])) {
    const text = (key: string): string => {
      const found = isRecord(entry) ? entry[key] : undefined;
      if (typeof found !== "string" || found === "") throw broken(path, `context "${name}" has no "${key}"`);
      return found;
    };
    const login = isRecord(entry) ? parseLogin(entry["login"]) : undefined;
    const context = { server: text("server"), ca: text("ca"), token: text("token") };
    contexts[name] = login === undefined ? context : { ...context, login };
  }
  const current = value["current"];
  return typeof current === "string" ? { current, contexts } : { contexts };
}

/** What is not whole is no login: the token is used until it ends, and then one logs in again. */
function parseLogin(value: unknown): StoredLogin | undefined {
  if (!isRecord(value)) return undefined;
  const { issuer, clientId, expiresAt, refreshToken } = value;
  if (typeof issuer !== "string" || typeof clientId !== "string" || typeof expiresAt !== "number") {
    return undefined;
  }
  const login = { issuer, clientId, expiresAt };
  return typeof refreshToken === "string" ? { ...login, refreshToken } : login;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function broken(path: string, why: string): Failure {
  return misused(
    `The contexts file ${path} is not usable: ${why}`,
    `Mend it, or move it away and run: fleetctl login --server https://HOST:PORT --token-file FILE --ca FILE`,
  );
}
