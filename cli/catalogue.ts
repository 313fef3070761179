import { globSync } from "node:fs";
import { join } from "node:path";
import { manifest } from "./manifest.ts";
import type { FleetCommand } from "./fleet-command.ts";
import type { Command } from "./oclif.ts";

/** What help and completion need of a command, without its code: plain data, so that a bundle can carry it. */
export interface CommandFacts {
  readonly id: string;
  readonly summary: string | undefined;
  readonly description: string | undefined;
  readonly examples: Command.Example[] | undefined;
  readonly args: Command.Loadable["args"];
  readonly flags: Command.Loadable["flags"];
}

type CommandClass = Command.Class & Pick<typeof FleetCommand, "start">;

/** The ids of all commands, as `cluster:list`: from the bundle's manifest, or from the files that hold them. */
export function commandIds(): string[] {
  if (manifest !== undefined) return Object.keys(manifest).sort();
  return globSync("**/*.ts", { cwd: join(import.meta.dirname, "commands") })
    .filter((file) => !file.endsWith(".test.ts"))
    .map((file) => file.slice(0, -".ts".length).split(/[\\/]/).join(":"))
    .sort();
}

/** The class of one command. No other command's file is loaded. */
export async function loadCommand(id: string): Promise<CommandClass> {
  // esbuild reads this pattern and takes in what it matches.
  const loaded = (await import(`./commands/${id.split(":").join("/")}.ts`)) as { default: CommandClass };
  const command = loaded.default;
  command.id = id;
  return command;
}

/** The line for a command in a list of them. */
export async function summaryOf(id: string): Promise<string> {
  return manifest?.[id] ?? (await loadCommand(id)).summary ?? "";
}

/** What help says of one command. */
export async function describeCommand(id: string): Promise<CommandFacts> {
  if (manifest !== undefined) {
    const { facts } = await import("./manifest-facts.ts");
    const known = facts[id];
    if (known !== undefined) return structuredClone(known);
  }
  const { summary, description, examples, args, flags, baseFlags } = await loadCommand(id);
  const all = { ...baseFlags, ...flags };
  return { id, summary, description, examples, args: named(args), flags: named(all) } as CommandFacts;
}

function named(parts: Readonly<Record<string, object>>): Record<string, object> {
  return Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, { ...part, name }]));
}
