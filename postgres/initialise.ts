import { spawn } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Binaries } from "./binaries.ts";
import { explain, PostgresError } from "./errors.ts";
import { type Place, rememberPlace } from "./place.ts";

/** The release whose files we write. Files of another one are refused: Postgres does not convert them by itself. */
const majorVersion = "18";

const accessRules = `# Only through the unix socket, whose folder only the owner of these files (and root) can enter.
local all all trust
`;

/** Creates the cluster unless it exists. It appears under its name only when complete, so a kill in between is harmless. */
export async function initialise(
  binaries: Binaries,
  place: Place,
  isDurable: boolean,
  signal?: AbortSignal,
): Promise<"created" | "existing"> {
  if (existsSync(place.data)) {
    checkVersion(place.data);
    return "existing";
  }
  const unfinished = `${place.data}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { mode: 0o700 });
  const { account } = place;
  if (account.switchTo !== undefined) chownSync(unfinished, account.uid, account.gid);
  const args = ["-D", unfinished, "-U", "falconry", "-A", "trust", "-E", "UTF8", "--no-instructions"];
  // Postgres' own C.UTF-8: the order of text does not change with the operating system.
  args.push("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C");
  if (!isDurable) args.push("--no-sync");
  const { code, output } = await run(binaries.initdb, args, place, signal);
  if (code !== 0) {
    rmSync(unfinished, { recursive: true, force: true });
    if (signal?.aborted === true) {
      throw new PostgresError(`The start of Postgres in ${place.data} was interrupted`);
    }
    throw explain("The database could not be created", place.data, output);
  }
  writeFileSync(join(unfinished, "pg_hba.conf"), accessRules);
  renameSync(unfinished, place.data);
  rememberPlace(place);
  return "created";
}

function checkVersion(data: string): void {
  const file = join(data, "PG_VERSION");
  const version = existsSync(file) ? readFileSync(file, "utf8").trim() : "nothing";
  if (version === majorVersion) return;
  throw new PostgresError(
    `${file} says ${version}, and this is Postgres ${majorVersion}: ` +
      "choose another state folder, or carry the data over with the release that wrote it",
  );
}

function run(
  program: string,
  args: readonly string[],
  place: Place,
  signal: AbortSignal | undefined,
): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return resolve({ code: 1, output: "" });
    const child = spawn(program, args, {
      ...place.account.switchTo,
      cwd: "/",
      stdio: ["ignore", "pipe", "pipe"],
      env: { LC_ALL: "C", PATH: "/usr/bin:/bin" },
    });
    let output = "";
    const keep = (part: Buffer): void => {
      output = (output + part.toString("utf8")).slice(-16_384);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.once("error", (cause) => {
      reject(new PostgresError(`${program} cannot be run: ${cause.message}`, { cause }));
    });
    const end = () => child.kill("SIGTERM");
    signal?.addEventListener("abort", end);
    // What it started holds its output open: then all of it has ended.
    child.once("close", (code) => {
      signal?.removeEventListener("abort", end);
      resolve({ code: code ?? 1, output });
    });
  });
}
