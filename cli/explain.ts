import { Code, ConnectError } from "@connectrpc/connect";
import { Errors } from "./oclif.ts";
import { exitCodes, Failure } from "./failure.ts";
import { nearest } from "./nearest.ts";

/** Where a call went, for messages. */
export interface Place {
  readonly server: string;
  readonly context: string;
}

/** Turns whatever a command threw into a failure with a next step. What it cannot place is a bug. */
export function explain(error: unknown): Failure {
  if (error instanceof Failure) return unwrapped(error);
  if (error instanceof Errors.CLIError) return explainUsage(error);
  if (error instanceof ConnectError) return explainCall(error, { server: "the server", context: "" });
  const message = error instanceof Error ? error.message : String(error);
  return new Failure(
    exitCodes.bug,
    `This is a bug in fleetctl: ${message}`,
    ["Please report it with the command you ran and the details saved beside your contexts file."],
    error,
  );
}

/** A call that failed: the server's own words, and who has to do what. */
export function explainCall(error: ConnectError, place: Place): Failure {
  const transport = explainTransport(error, place);
  if (transport !== undefined) return transport;
  const words = sentence(error.rawMessage);
  const as = place.context === "" ? "" : ` as context "${place.context}"`;
  switch (error.code) {
    case Code.Unauthenticated:
      return failure(error, exitCodes.refused, `${place.server} does not accept the token${as}: ${words}`, [
        `fleetctl login --server ${place.server} --token-file FILE   with a valid token`,
        `fleetctl login --oidc --server ${place.server}   where people log in by an identity provider`,
      ]);
    case Code.PermissionDenied:
      return failure(error, exitCodes.refused, words, [
        "Ask an admin of the fleet for a wider role or scope; fleetctl whoami   shows yours",
      ]);
    case Code.Aborted:
      return failure(error, exitCodes.refused, words, [
        "Look at it again, then decide again: it changed meanwhile.",
      ]);
    case Code.ResourceExhausted:
      return failure(error, exitCodes.refused, words, ["Send less, or try again later."]);
    case Code.Unimplemented:
      return failure(error, exitCodes.refused, `${place.server} does not know this call: ${words}`, [
        "Use a fleetctl of the same version as the server.",
      ]);
    case Code.NotFound:
      return failure(error, exitCodes.refused, words, listingHints(words));
    case Code.AlreadyExists:
    case Code.InvalidArgument:
    case Code.FailedPrecondition:
    case Code.OutOfRange:
      return failure(error, exitCodes.refused, words, trustHints(words));
    case Code.Canceled:
      return failure(error, exitCodes.interrupted, "", []);
    case Code.DeadlineExceeded:
      return failure(error, exitCodes.away, `${place.server} did not answer in time`, serverHints(place));
    case Code.Unavailable:
      return failure(error, exitCodes.away, `${place.server} is not available: ${words}`, [
        `Run it again in a moment; ${place.server}/readyz says what the server waits for.`,
      ]);
    case Code.Internal:
    case Code.Unknown:
    case Code.DataLoss:
      return failure(error, exitCodes.bug, `${place.server} failed: ${words}`, [
        "This is a bug in the server. Report it with the words above; the server's log has the cause.",
      ]);
  }
}

const away = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EPIPE",
]);

/** Errors below the protocol: nobody there, or somebody whose certificate is not the one that we trust. */
function explainTransport(error: ConnectError, place: Place): Failure | undefined {
  const code = systemCode(error);
  if (code === undefined) return undefined;
  if (away.has(code)) {
    return failure(error, exitCodes.away, `${place.server} cannot be reached (${code})`, serverHints(place));
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const why = systemMessage(error);
    return failure(error, exitCodes.usage, `The certificate of ${place.server} is for another name: ${why}`, [
      "Use a server address that its certificate names.",
    ]);
  }
  if (/CERT|SIGNATURE|SELF_SIGNED|ISSUER/.test(code)) {
    return failure(
      error,
      exitCodes.usage,
      `The certificate of ${place.server} is not signed by the CA that context "${place.context}" trusts (${code})`,
      [
        `fleetctl login --server ${place.server} --ca-pin sha256:HEX --token-file FILE   if the CA was replaced; get the pin from an admin, not from the connection`,
      ],
    );
  }
  if (/SSL|EPROTO|HTTP2|HTTP_1_1/.test(code)) {
    return failure(error, exitCodes.usage, `${place.server} does not speak TLS with HTTP/2 (${code})`, [
      "Check the host and the port in the server address.",
    ]);
  }
  return undefined;
}

/** What to list when something by that name is not there; the server's sentence names the kind of thing. */
const listings: readonly (readonly [RegExp, string])[] = [
  [/^No such (?:(rules|shipper) )?bundle\b/, "fleetctl bundle list   shows the bundles"],
  [/^No such cluster\b/, "fleetctl cluster list   shows the clusters"],
  [/^No such rollout\b/, "fleetctl rollout list   shows the rollouts"],
  [/^No such join token\b/, "fleetctl token list   shows the join tokens"],
  [/^No such API token\b/, "fleetctl token api list   shows the API tokens"],
];

function listingHints(words: string): string[] {
  return listings.flatMap(([pattern, hint]) => (pattern.test(words) ? [hint] : []));
}

/** Signatures and pins that do not fit: who may sign is written in the root. */
function trustHints(words: string): string[] {
  if (!/\(trust\/(threshold-not-met|unknown-key|bad-signature|rollback)\)/.test(words)) return [];
  return ["fleetctl trust status   shows whose keys may sign, and the versions that are published"];
}

function serverHints(place: Place): string[] {
  const contexts = "fleetctl context list   to see which servers you know";
  return [`Check that the server runs and that ${place.server} is its address.`, contexts];
}

/** oclif puts words of its own around what a flag's parser says; the parser's sentence names the flag already. */
const wrapping = /^Parsing (--\S+)\s*\n\t([\s\S]*?)(?:\nSee more help with --help)?$/;

function unwrapped(error: Failure): Failure {
  const inner = wrapping.exec(error.message)?.[2];
  return inner === undefined ? error : new Failure(error.exitCode, inner, error.next, error.cause);
}

/** Wrong flags and arguments, told by oclif; its "See more help" line and colour are replaced by our next step. */
function explainUsage(error: Error): Failure {
  const message = error.message
    // oxlint-disable-next-line no-control-regex -- takes oclif's colours out
    .replace(/\u001b\[[0-9;]*m/g, "")
    .replace(/\n?See more help with --help\s*$/, "")
    .replace(wrapping, "$1: $2")
    .replace(/^The following errors? occurred:\s*/, "")
    .replace(/^Nonexistent flag/, "There is no flag")
    .replace(/^Missing 1 required arg:\n(\S+)\s+([\s\S]*)$/, (_all, name: string, about: string) => {
      return `${name.toUpperCase()} is missing: ${about.charAt(0).toLowerCase()}${about.slice(1)}`;
    })
    .trim();
  return failure(error, exitCodes.usage, sentence(message), [
    "fleetctl COMMAND --help   shows its flags and examples",
  ]);
}

/** Makes a complaint about flags or arguments point at the command it is about, and at a flag that may be meant. */
export function explainForCommand(error: unknown, command: string, flags: readonly string[]): unknown {
  if (!(error instanceof Errors.CLIError)) return error;
  const { exitCode, message } = explainUsage(error);
  const unknown = "flags" in error && Array.isArray(error.flags) ? error.flags.map(String) : [];
  const near = unknown.flatMap((flag) =>
    nearest(
      flag,
      flags.map((name) => `--${name}`),
    ),
  );
  return failure(error, exitCode, message, [
    ...new Set(near.map((flag) => `fleetctl ${command} ${flag}`)),
    `fleetctl ${command} --help   shows its flags and examples`,
  ]);
}

function failure(cause: unknown, exitCode: number, message: string, next: readonly string[]): Failure {
  return new Failure(exitCode, message, next, cause);
}

function sentence(text: string): string {
  const trimmed = text.trim().replace(/\.$/, "");
  if (trimmed === "") return "No reason was given";
  // A field or a file at the beginning keeps its spelling.
  return /^[a-z]+[ ,]/.test(trimmed) ? trimmed.charAt(0).toUpperCase() + trimmed.slice(1) : trimmed;
}

function* chain(error: unknown): Generator<Error & { code?: unknown }> {
  let at: unknown = error;
  for (let depth = 0; depth < 8 && at instanceof Error; depth++) {
    yield at;
    at = at.cause;
  }
}

/** The operating system's or OpenSSL's code, wherever in the chain of causes it sits. */
function systemCode(error: unknown): string | undefined {
  for (const link of chain(error)) if (typeof link.code === "string") return link.code;
  return undefined;
}

function systemMessage(error: unknown): string {
  for (const link of chain(error)) if (typeof link.code === "string") return link.message;
  return "";
}
