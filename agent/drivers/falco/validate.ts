import { runBounded } from "../bounded-run.ts";

/** What a dry run of the program says: nothing, or why it would refuse. */
export type Validity =
  | { readonly ok: true }
  | { readonly ok: false; readonly reason: string; readonly detail: string };

const bounds = { ms: 30_000, bytes: 256 * 1024 };

interface LoadResult {
  readonly falco_load_results?: readonly {
    readonly successful?: boolean;
    readonly errors?: readonly { readonly code?: string; readonly message?: string }[];
  }[];
}

/** Runs `falco -V` over a file. */
export async function validateRules(
  bin: string,
  config: string | undefined,
  file: string,
): Promise<Validity> {
  const args = [...(config === undefined ? [] : ["-c", config]), "-o", "json_output=true", "-V", file];
  const ran = await runBounded(bin, args, bounds);
  if (ran.code === 0) return { ok: true };
  if (ran.code === undefined) {
    const detail = `${bin} -V did not say whether the rules are good: ${ran.why ?? "it ended without a code"}`;
    return { ok: false, reason: "falco/cannot-validate", detail };
  }
  const errors = errorsIn(ran.stdout);
  const said = errors.length > 0 ? errors.join("\n") : `${ran.stderr}\n${ran.stdout}`.trim().slice(-2_000);
  return { ok: false, reason: "falco/invalid", detail: `${bin} -V refuses the rules:\n${said}` };
}

function errorsIn(stdout: string): readonly string[] {
  const line = stdout.split("\n").find((each) => each.startsWith('{"falco_load_results"'));
  if (line === undefined) return [];
  try {
    const { falco_load_results: results = [] } = JSON.parse(line) as LoadResult;
    return results.flatMap(({ errors = [] }) =>
      errors.map(({ code = "", message = "" }) => `${code}: ${message}`),
    );
  } catch {
    // Output that was cut off: it is shown as it is.
    return [];
  }
}
