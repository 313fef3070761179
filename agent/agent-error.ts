/** An error with a stable code and a sentence that says what to do; shown to operators as it is. */
export class AgentError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AgentError";
    this.code = code;
  }
}

/** The code and sentence of anything that was thrown. */
export function problemOf(error: unknown, fallbackCode: string): { code: string; message: string } {
  if (error instanceof AgentError) return { code: error.code, message: error.message };
  const errno = (error as NodeJS.ErrnoException | undefined)?.code;
  if (errno === "ENOSPC" || errno === "EDQUOT") {
    return {
      code: "disk/full",
      message: `The disk of the state directory is full: ${(error as Error).message}. Free space: work goes on by itself in an agent that runs, and with the next start of one that ended`,
    };
  }
  if (errno === "EROFS" || errno === "EACCES") {
    return {
      code: "disk/read-only",
      message: `The state directory cannot be written: ${(error as Error).message}`,
    };
  }
  return { code: fallbackCode, message: error instanceof Error ? error.message : String(error) };
}
