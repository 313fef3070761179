import { parseOptions } from "./options.ts";
import { runGenerator } from "./run.ts";

/**
 * `node cli/generator/main.ts --file F [--rate N] [--seed S] [--cluster NAME] [--threat-every N] [--ledger F]
 * [--max-bytes N] [--backups N] [--lines N] [--replay F [--loop]] [--stop-with-parent]`
 *
 * With --stop-with-parent the end of standard input stops it, too: a parent that holds the other end of a pipe cannot
 * leave it behind, not even by kill -9.
 *
 * Exit 0 after SIGTERM, SIGINT or the last line; 1 when the log cannot be written; 2 on wrong usage.
 */
async function main(): Promise<void> {
  const parsed = parseOptions(process.argv.slice(2));
  if (!parsed.ok) {
    process.stderr.write(`${parsed.problems.join("\n")}\n`);
    process.exitCode = 2;
    return;
  }
  const stop = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => stop.abort());
  if (parsed.stopsWithParent) process.stdin.resume().once("close", () => stop.abort());
  try {
    const { run, lines } = await runGenerator(parsed.value, stop.signal);
    process.stdout.write(`${JSON.stringify({ run, lines })}\n`);
  } catch (error) {
    process.stderr.write(`${reasonOf(error)}\n`);
    process.exitCode = 1;
  }
  // A pipe from a living parent would keep this process waiting after the last line.
  process.stdin.destroy();
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

void main();
