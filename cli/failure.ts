/** What a shell or a program can tell apart; the last two as shells give them for SIGINT and SIGPIPE. */
export const exitCodes = {
  done: 0,
  refused: 1,
  /** Wrong usage or config. */
  usage: 2,
  /** The server is away. */
  away: 3,
  bug: 4,
  interrupted: 130,
  pipeClosed: 141,
} as const;

/** A failure that says in one sentence what is wrong and where, and in another what to try next. */
export class Failure extends Error {
  readonly exitCode: number;
  /** Lines to try, each a command or a sentence; may be empty. */
  readonly next: readonly string[];

  constructor(exitCode: number, message: string, next: readonly string[] = [], cause?: unknown) {
    super(message, { cause });
    this.name = "Failure";
    this.exitCode = exitCode;
    this.next = next;
  }
}

/** The server or a check said no. */
export function refused(message: string, ...next: readonly string[]): Failure {
  return new Failure(exitCodes.refused, message, next);
}

/** The command line, a file on this side or the context is wrong. */
export function misused(message: string, ...next: readonly string[]): Failure {
  return new Failure(exitCodes.usage, message, next);
}

/** The person wants it to end. Nothing is said when there is nothing that whoever pressed Ctrl-C does not know: `what` is what had not been done yet. */
export function interrupted(what?: string): Failure {
  return new Failure(exitCodes.interrupted, what === undefined ? "" : `Interrupted ${what}`);
}

/** The answer has said everything, and a script learns from the exit code how it ended. */
export function answered(exitCode: number): Failure {
  return new Failure(exitCode, "");
}
