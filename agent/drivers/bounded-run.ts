import { spawn } from "node:child_process";

/** How a program ended. */
export interface Ran {
  /** Undefined when it was ended, or could not be started. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Why it did not end by itself, in words. */
  readonly why: string | undefined;
}

export interface RunBounds {
  readonly ms: number;
  /** Of each stream; what is beyond is thrown away. */
  readonly bytes: number;
}

/** Runs a program without a shell and without input, within bounds of time and output. Never rejects. */
export function runBounded(command: string, args: readonly string[], bounds: RunBounds): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: bounds.ms,
      killSignal: "SIGKILL",
    });
    const [stdout, stderr] = [collect(bounds.bytes), collect(bounds.bytes)];
    child.stdout.on("data", stdout.add);
    child.stderr.on("data", stderr.add);
    let why: string | undefined;
    child.on("error", (error) => {
      why = error.message;
    });
    child.on("close", (code, signal) => {
      const ended =
        signal === null ? undefined : `it was ended by ${signal}, after ${bounds.ms / 1000} s at most`;
      resolve({ code: code ?? undefined, stdout: stdout.text(), stderr: stderr.text(), why: why ?? ended });
    });
  });
}

function collect(bytesMax: number) {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return {
    add: (chunk: Buffer): void => {
      const part = chunk.subarray(0, bytesMax - bytes);
      bytes += part.length;
      if (part.length > 0) chunks.push(part);
    },
    text: () => Buffer.concat(chunks).toString(),
  };
}
