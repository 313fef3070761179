import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { refused } from "./failure.ts";

/** Programs that fleetctl starts beside itself. */
export type Program = "fleetctl" | "generator" | "server" | "agent" | "run-main" | "replay-main";

/** As sources each program is a file; as a bundle each room is one, and the first argument names the part of it. */
const isBundle = !import.meta.filename.endsWith(".ts");
const root = isBundle ? import.meta.dirname : dirname(import.meta.dirname);

const sources: Readonly<Record<Program, string>> = {
  fleetctl: "cli/main.ts",
  generator: "cli/generator/main.ts",
  server: "server/main.ts",
  agent: "agent/main.ts",
  "run-main": "agent/run-main.ts",
  "replay-main": "agent/replay-main.ts",
};
const bundled: Readonly<Record<Program, readonly [file: string, ...part: string[]]>> = {
  fleetctl: ["fleetctl.cjs"],
  generator: ["fleetctl.cjs", "@generator"],
  server: ["falconry-server.cjs"],
  agent: ["falconry-agent.cjs"],
  "run-main": ["falconry-agent.cjs", "@run-main"],
  "replay-main": ["falconry-agent.cjs", "@replay-main"],
};

let built: string | undefined;

/** Has sources start programs that were built into a folder, instead of sources. */
export function takeBuilt(folder: string): void {
  built = folder;
}

/** What Node is given to run a program. A bundle that was taken out of its package may stand alone. */
export function programArgs(program: Program): readonly string[] {
  const [file, ...part] = bundled[program];
  if (built !== undefined) return [join(built, file), ...part];
  if (!isBundle) return [join(root, sources[program])];
  if (file === "fleetctl.cjs") return [import.meta.filename, ...part];
  return [beside(file), ...part];
}

/** A folder or file that is no code: `rules/starter`, `deploy/local`. */
export function dataPath(...names: readonly string[]): string {
  return isBundle ? beside(...names) : join(root, ...names);
}

function beside(...names: readonly string[]): string {
  const path = join(root, ...names);
  if (existsSync(path)) return path;
  throw refused(
    `This needs ${names.join("/")} beside ${import.meta.filename}, and it is not there`,
    "Use fleetctl from its npm package, which holds both",
  );
}
