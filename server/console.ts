import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { extname, join, relative, sep } from "node:path";
import { gzipSync } from "node:zlib";

import type { Logger } from "pino";

import { isConsolePage, type BrowserSignIn } from "./oidc/browser.ts";
import type { Request, Response } from "./rpc/adapter.ts";

/** Where the built console is: beside the server's one file, or where `npm run console` puts it. */
export const consoleFolder = import.meta.filename.endsWith(".ts")
  ? join(import.meta.dirname, "..", "web", "dist")
  : join(import.meta.dirname, "console");

/** The console's files, which everybody may read: they hold nothing of the fleet. */
export interface Console {
  /** Answers when the path is one of the console's; otherwise says that it is not. */
  answer(path: string, request: Request, response: Response): boolean;
}

/** How browsers sign in at an identity provider, and where it is said what went wrong meanwhile. */
export interface ConsoleSignIn {
  readonly browser: BrowserSignIn;
  readonly log: Logger;
}

interface Asset {
  readonly type: string;
  readonly etag: string;
  readonly plain: Buffer;
  readonly packed: Buffer;
  /** The name says the content, so that it can be kept for ever. */
  readonly isNamedByContent: boolean;
}

const filesMax = 200;
const fileBytesMax = 4 * 1024 * 1024;

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Nothing inline, nothing of others, nothing in a frame; and no text can become code without a policy that we do not have. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const securityHeaders = {
  "content-security-policy": contentSecurityPolicy,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
};

const notBuilt = "The console is not built. To build it: npm run console\n";

/** Reads the files when the first request comes, and again as long as there are none: it may be built while the server runs. */
export function createConsole(folder: string = consoleFolder, signIn?: ConsoleSignIn): Console {
  let assets: ReadonlyMap<string, Asset> | undefined;
  return {
    answer(path, request, response) {
      const { method = "" } = request;
      if (method !== "GET" && method !== "HEAD") return false;
      if (signIn !== undefined && method === "GET" && path.startsWith("/console/")) {
        return answerSignIn(signIn, path, request, response);
      }
      assets ??= readAssets(folder);
      const asset = assets?.get(path) ?? (isConsolePage(path) ? assets?.get("/index.html") : undefined);
      if (asset === undefined && !(assets === undefined && isConsolePage(path))) return false;
      if (asset === undefined) sendText(response, 503, notBuilt);
      else send(asset, request, response);
      return true;
    },
  };
}

/** Undefined when it is not built. */
function readAssets(folder: string): ReadonlyMap<string, Asset> | undefined {
  let names: readonly string[];
  try {
    names = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && Object.hasOwn(types, extname(entry.name)))
      .map((entry) => join(entry.parentPath, entry.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  if (!names.some((name) => name === join(folder, "index.html"))) return undefined;
  const files = names.slice(0, filesMax).filter((name) => statSync(name).size <= fileBytesMax);
  return new Map(files.map((file) => [`/${relative(folder, file).replaceAll(sep, "/")}`, readAsset(file)]));
}

function readAsset(file: string): Asset {
  const plain = readFileSync(file);
  return {
    type: types[extname(file)] ?? "",
    etag: `"${createHash("sha256").update(plain).digest("base64url").slice(0, 27)}"`,
    plain,
    packed: gzipSync(plain, { level: 9 }),
    isNamedByContent: file.includes(`${sep}assets${sep}`),
  };
}

function send(asset: Asset, request: Request, response: Response): void {
  const { type, etag, plain, packed, isNamedByContent } = asset;
  const { headers } = request;
  const isPacked = /\bgzip\b/.test(headers["accept-encoding"] ?? "");
  const body = isPacked ? packed : plain;
  const head = {
    ...securityHeaders,
    "content-type": type,
    "cache-control": isNamedByContent ? "public, max-age=31536000, immutable" : "no-cache",
    etag,
    vary: "accept-encoding",
  };
  // The two kinds of response share these methods, but not a signature that TypeScript can call.
  const to = response as ServerResponse;
  if (headers["if-none-match"] === etag) {
    to.writeHead(304, head).end();
    return;
  }
  to.writeHead(200, {
    ...head,
    "content-length": body.length,
    ...(isPacked ? { "content-encoding": "gzip" } : {}),
  });
  to.end(request.method === "HEAD" ? undefined : body);
}

/** The two addresses through which a browser goes to the identity provider and comes back. */
function answerSignIn(
  { browser, log }: ConsoleSignIn,
  path: string,
  request: Request,
  response: Response,
): boolean {
  const step =
    path === "/console/login" ? browser.begin : path === "/console/callback" ? browser.end : undefined;
  if (step === undefined) return false;
  const query = new URLSearchParams((request.url ?? "").slice(path.length));
  const answered = step(query, request.headers.cookie ?? "").then((answer) => {
    if ("why" in answer) {
      sendText(response, 403, `${answer.why}. To try again, open the console: ${answer.home}\n`);
      return;
    }
    const { location, cookies } = answer;
    const head = { ...securityHeaders, location, "set-cookie": [...cookies], "cache-control": "no-store" };
    (response as ServerResponse).writeHead(303, head).end();
  });
  // What nobody waits for would end the process, and with it every agent's session.
  answered.catch((error: unknown) => {
    log.error({ err: error, path }, "a browser that signs in could not be answered");
    response.destroy();
  });
  return true;
}

function sendText(response: Response, status: number, text: string): void {
  const head = {
    ...securityHeaders,
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-store",
  };
  (response as ServerResponse).writeHead(status, head).end(text);
}
