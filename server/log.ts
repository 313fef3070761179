import { pino, stdSerializers, stdTimeFunctions, type Logger } from "pino";

const textCharsMax = 4_000;

/** Structured logs on standard output, one JSON object a line. */
export function createLog(level: string, org: string): Logger {
  return pino({
    level,
    base: { org },
    timestamp: stdTimeFunctions.isoTime,
    serializers: { err: describeError },
  });
}

/**
 * An error for the log, bounded. The database library puts every parameter of a failed query into its message, and a
 * parameter may be a bundle of 16 MiB or something that only its owner should read: the query stays, the values go.
 */
export function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const described = stdSerializers.err(error);
  const { message, stack } = withoutParams(described.message, described.stack);
  return { type: described.type, message, stack, ...codeOf(error), cause: describeCause(error.cause) };
}

function withoutParams(message: string, stack: string) {
  const strip = (text: string) =>
    text.replaceAll(/\nparams: [^]*?(?=\n\s+at |\ncaused by: |$)/g, "").slice(0, textCharsMax);
  return { message: strip(message), stack: strip(stack) };
}

function describeCause(cause: unknown): unknown {
  if (!(cause instanceof Error)) return undefined;
  return { message: cause.message.slice(0, textCharsMax), ...codeOf(cause) };
}

function codeOf(error: Error): { readonly code?: unknown } {
  return "code" in error ? { code: error.code } : {};
}
