import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { dirname } from "node:path";
import type { Readable } from "node:stream";
import { isSignedBy, type PublicKey, publicKeyFromHex, publicKeyFromPem, shortId, type Signer } from "#trust";
import { type Failure, misused, refused } from "../failure.ts";

/** A key that some other program signs with: a token, a key service, a smart card. */
export interface ExecReference {
  readonly file: string;
  readonly command: readonly [program: string, ...args: string[]];
  readonly publicKey: PublicKey;
  readonly timeoutMs: number;
}

/** Takes what the program says on standard error, as it says it: a PIN is asked for there, or a touch. */
export type Talk = (text: string) => void;

const argumentsMax = 64;
const timeoutSecondsMax = 600;
const timeoutSeconds = 60;
const answerBytesMax = 16 * 1024;
const talkBytesMax = 64 * 1024;
const shownCharsMax = 500;
const known = ["signer", "command", "public", "timeoutSeconds"];

/** Reads a reference: `{"signer": "exec", "command": [...], "public": "..."}`. */
export function parseExecReference(file: string, json: Readonly<Record<string, unknown>>): ExecReference {
  const wrong = (why: string): Failure =>
    misused(
      `${file}: ${why}`,
      'It looks like {"signer": "exec", "command": ["PROGRAM"], "public": "PEM or hex"}',
    );
  const unknown = Object.keys(json).find((key) => !known.includes(key));
  if (unknown !== undefined) throw wrong(`unknown field ${JSON.stringify(unknown.slice(0, 80))}`);
  const { command, public: value, timeoutSeconds: seconds = timeoutSeconds } = json;
  const isCommand = Array.isArray(command) && command.every((part) => typeof part === "string");
  const [program, ...args] = isCommand ? (command as readonly string[]) : [];
  if (program === undefined || program === "" || args.length > argumentsMax) {
    throw wrong(`"command" is no list of a program and at most ${argumentsMax} arguments`);
  }
  const isTime = typeof seconds === "number" && Number.isInteger(seconds) && seconds >= 1;
  if (!isTime || seconds > timeoutSecondsMax) {
    throw wrong(`"timeoutSeconds" is not a whole number from 1 to ${timeoutSecondsMax}`);
  }
  if (typeof value !== "string") throw wrong('"public" is missing');
  const key = value.includes("-----BEGIN") ? publicKeyFromPem(value) : publicKeyFromHex(value);
  if (!key.ok) throw wrong(key.refusal.message);
  return { file, command: [program, ...args], publicKey: key.value, timeoutMs: seconds * 1000 };
}

/** The signer that asks the program for each signature, and believes none that the public key does not confirm. */
export function execSigner(reference: ExecReference, talk: Talk): Signer {
  const { publicKey } = reference;
  return {
    publicKey,
    sign: async (data) => {
      const answer = await ask(reference, requestOf(publicKey, data), talk);
      const signature = readAnswer(reference, answer);
      if (isSignedBy(publicKey, data, signature)) return signature;
      throw failed(reference, `gave a signature that is not of key ${shortId(publicKey.keyId)}`);
    },
  };
}

function requestOf({ keyId, keytype, scheme }: PublicKey, data: Uint8Array): string {
  const message = Buffer.from(data).toString("base64");
  const sha256 = createHash("sha256").update(data).digest("hex");
  return `${JSON.stringify({ format: 1, keyId, keytype, scheme, message, sha256 })}\n`;
}

function readAnswer(reference: ExecReference, answer: string): Uint8Array {
  let json: unknown;
  try {
    json = JSON.parse(answer);
  } catch (error) {
    throw failed(reference, `answered with something that is no JSON: ${(error as Error).message}`);
  }
  const signature = (json as { readonly signature?: unknown } | null)?.signature;
  if (typeof signature === "string" && /^[A-Za-z0-9+/]{16,2048}={0,2}$/.test(signature)) {
    return Buffer.from(signature, "base64");
  }
  throw failed(reference, 'answered without "signature" in base64');
}

function failed({ file, command }: ExecReference, what: string): Failure {
  return refused(
    `Signer ${file}: ${command[0]} ${what}`,
    "Run the program by hand with the same input; docs/signers.md says what it gets and answers.",
  );
}

/** Runs the program once: the request on standard input, the answer from standard output, both bounded, within its time. */
function ask(reference: ExecReference, request: string, talk: Talk): Promise<string> {
  const { file, timeoutMs } = reference;
  const [program, ...args] = reference.command;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: dirname(file), env: environment(), stdio: "pipe" });
    let said = "";
    const end = (settle: () => void) => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe.destroy();
      settle();
    };
    const fail = (what: string) => {
      const last = said.trim().slice(-shownCharsMax);
      end(() => reject(failed(reference, last === "" ? what : `${what}; it said: ${last}`)));
    };
    const timer = setTimeout(() => fail(`did not answer within ${timeoutMs / 1000} s`), timeoutMs);
    const answer = collect(child.stdout, answerBytesMax, () =>
      fail(`answered with more than ${answerBytesMax} bytes`),
    );
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      if (said.length + text.length > talkBytesMax) return;
      said += text;
      talk(text);
    });
    child.once("error", (error) => fail(`cannot be run: ${error.message}`));
    child.once("close", (code, signal) => {
      if (code === 0) end(() => resolve(answer()));
      else fail(code === null ? `was ended by ${signal ?? "a signal"}` : `ended with code ${code}`);
    });
    // A program that wants no input may close it early; what counts is what it answers.
    child.stdin.on("error", () => {});
    child.stdin.end(request);
  });
}

/** Gathers a stream's text up to a size. */
function collect(stream: Readable, bytesMax: number, onTooMuch: () => void): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > bytesMax) onTooMuch();
    else chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

/** Ours without our own settings: a passphrase of other keys is none of the program's business. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("FLEETCTL_")));
}
