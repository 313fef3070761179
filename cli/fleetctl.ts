import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { inspect } from "node:util";
import packageJson from "../package.json" with { type: "json" };
import { commandIds, describeCommand, loadCommand, summaryOf } from "./catalogue.ts";
import { exitCodes, type Failure, misused } from "./failure.ts";
import { nearest } from "./nearest.ts";
import { renderRootHelp } from "./output/root-help.ts";
import { onScreen, type Screen } from "./screen.ts";
import { topics } from "./topics.ts";

/** Runs one command line and gives the exit code. Throws nothing and prints no stack trace. */
export async function runFleetctl(argv: readonly string[], screen: Screen): Promise<number> {
  try {
    return await onScreen(screen, () => dispatch(argv, screen));
  } catch (error) {
    const { explain } = await import("./explain.ts");
    const failure = explain(error);
    if (failure.message === "") return failure.exitCode;
    screen.talk(`fleetctl: ${failure.message}\n`);
    for (const next of failure.next) screen.talk(`  try: ${next}\n`);
    if (failure.exitCode === exitCodes.bug) await keepDetails(failure, argv, screen);
    return failure.exitCode;
  }
}

async function dispatch(argv: readonly string[], screen: Screen): Promise<number> {
  const words = leadingWords(argv);
  const ids = commandIds();
  const id = longestCommand(words, ids);
  const beforeDashes = argv.slice(0, argv.includes("--") ? argv.indexOf("--") : argv.length);
  const asksHelp = beforeDashes.some((word) => word === "--help" || word === "-h");
  if (id !== undefined && !asksHelp) {
    const work = () => run(id, argv.slice(id.split(":").length));
    if ((process.env["FALCONRY_TRACES"] ?? "") === "") await work();
    else await (await import("./traced.ts")).traced(id, work);
    return exitCodes.done;
  }
  if (argv[0] === "--version" || argv[0] === "version") {
    screen.out(`fleetctl ${packageJson.version}\n`);
    return exitCodes.done;
  }
  await help(id === undefined ? words.filter((word) => word !== "help") : id.split(":"), ids, screen);
  return exitCodes.done;
}

async function run(id: string, argv: string[]): Promise<void> {
  const command = await loadCommand(id);
  try {
    await command.start(argv);
  } catch (error) {
    const { explainForCommand } = await import("./explain.ts");
    const flags = Object.keys({ ...command.baseFlags, ...command.flags });
    throw explainForCommand(error, id.replaceAll(":", " "), flags);
  }
}

/** Tells of a command, or of the commands of a noun, or of all nouns; it asks only the commands that it names. */
async function help(subject: readonly string[], ids: readonly string[], screen: Screen): Promise<void> {
  const prefix = subject.map((word) => `${word}:`).join("");
  const about = subject.join(":");
  const isRoot = subject.length === 0;
  const named = ids.filter((id) => (isRoot ? !id.includes(":") : id === about || id.startsWith(prefix)));
  if (named.length === 0) throw unknownCommand(subject, ids);
  if (isRoot) return rootHelp(named, screen);
  const { ScreenHelp } = await import("./screen-help.ts");
  const { createConfig } = await import("./fleet-config.ts");
  const facts = await Promise.all(named.map(describeCommand));
  await new ScreenHelp(await createConfig(facts), screen).showHelp([...subject]);
}

/** oclif's help would load its theme, its configuration and a language of templates for these few lines. */
async function rootHelp(named: readonly string[], screen: Screen): Promise<void> {
  const commands = await Promise.all(named.map(async (id) => [id, await summaryOf(id)] as const));
  const described = Object.entries(topics).filter(([name]) => !name.includes(":"));
  const help = {
    description: packageJson.description,
    version: `${packageJson.name}/${packageJson.version} ${process.platform}-${process.arch} node-${process.version}`,
    topics: described.map(([name, { description }]) => [name, description] as const),
    commands,
  };
  screen.out(renderRootHelp(help, Math.min(screen.columns, 120)));
}

/** The words before the first flag: the command's name, perhaps followed by arguments. */
function leadingWords(argv: readonly string[]): string[] {
  const end = argv.findIndex((word) => word.startsWith("-"));
  return argv.slice(0, end === -1 ? argv.length : end);
}

function longestCommand(words: readonly string[], ids: readonly string[]): string | undefined {
  for (let length = Math.min(words.length, 4); length > 0; length--) {
    const id = words.slice(0, length).join(":");
    if (ids.includes(id)) return id;
  }
  return undefined;
}

function unknownCommand(words: readonly string[], ids: readonly string[]): Failure {
  const spoken = ids.map((id) => id.replaceAll(":", " "));
  const typed = words.slice(0, 3).join(" ");
  const near = nearest(typed, spoken).map((command) => `fleetctl ${command}`);
  const next = near.length > 0 ? near : ["fleetctl --help   lists all commands"];
  return misused(`There is no command "${words.slice(0, 2).join(" ")}"`, ...next);
}

/** A bug's stack goes to a file beside the contexts file, not into the face of whoever met it. */
async function keepDetails(failure: Failure, argv: readonly string[], screen: Screen): Promise<void> {
  const { contextsPath } = await import("./contexts.ts");
  const file = join(dirname(contextsPath(process.env)), "last-bug.txt");
  try {
    if (!existsSync(dirname(file))) mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // Arguments may hold secrets only by mistake; the command's name is enough to find the place.
    const command = leadingWords(argv).slice(0, 3).join(" ");
    writeFileSync(file, `fleetctl ${command}\n${inspect(failure.cause, { depth: 4 })}\n`, { mode: 0o600 });
    screen.talk(`  details: ${file}\n`);
  } catch (error) {
    screen.talk(`  details could not be saved to ${file}: ${(error as Error).message}\n`);
  }
}
