import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { inspect } from "node:util";
import { Config, Help, settings } from "@oclif/core";
import { contextsPath } from "./contexts.ts";
import { explain, explainForCommand } from "./explain.ts";
import { exitCodes, type Failure, misused } from "./failure.ts";
import { nearest } from "./nearest.ts";
import { onScreen, type Screen } from "./screen.ts";
import { topics } from "./topics.ts";

const root = join(import.meta.dirname, "..");
const commandsDirectory = join(import.meta.dirname, "commands");
/** `.ts` as it is written, `.js` as it is built. */
const extension = extname(import.meta.filename);

/** Runs one command line and gives the exit code. Throws nothing and prints no stack trace. */
export async function runFleetctl(argv: readonly string[], screen: Screen): Promise<number> {
  try {
    return await onScreen(screen, () => dispatch(argv, screen));
  } catch (error) {
    const failure = explain(error);
    if (failure.exitCode === exitCodes.interrupted || failure.message === "") return failure.exitCode;
    screen.talk(`fleetctl: ${failure.message}\n`);
    for (const next of failure.next) screen.talk(`  try: ${next}\n`);
    if (failure.exitCode === exitCodes.bug) keepDetails(failure, argv, screen);
    return failure.exitCode;
  }
}

/** The ids of all commands, as `cluster:list`, from the files that hold them. */
export function commandIds(): string[] {
  return globSync(`**/*${extension}`, { cwd: commandsDirectory })
    .filter((file) => !file.endsWith(`.test${extension}`))
    .map((file) => file.slice(0, -extension.length).split(/[\\/]/).join(":"))
    .sort();
}

/**
 * oclif's view of us. It loads every command that its pattern names, so a run names only the one it needs; help and the
 * golden name all.
 */
export async function loadConfig(id?: string): Promise<Config> {
  settings.enableAutoTranspile = false;
  const { name, version, description } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const globPatterns =
    id === undefined
      ? [`**/*${extension}`, `!**/*.test${extension}`]
      : [`${id.split(":").join("/")}${extension}`];
  return Config.load({
    root,
    isRoot: true,
    pjson: {
      name,
      version,
      description,
      type: "module",
      oclif: {
        bin: "fleetctl",
        dirname: "falconry",
        topicSeparator: " ",
        topics,
        commands: { strategy: "pattern", target: "./cli/commands", globPatterns },
      },
    },
  });
}

async function dispatch(argv: readonly string[], screen: Screen): Promise<number> {
  const words = leadingWords(argv);
  const ids = commandIds();
  const id = longestCommand(words, ids);
  const beforeDashes = argv.slice(0, argv.includes("--") ? argv.indexOf("--") : argv.length);
  const asksHelp = beforeDashes.some((word) => word === "--help" || word === "-h");
  if (id !== undefined && !asksHelp) {
    const config = await loadConfig(id);
    try {
      await config.runCommand(id, argv.slice(id.split(":").length));
    } catch (error) {
      const command = config.findCommand(id, { must: true });
      throw explainForCommand(error, id.replaceAll(":", " "), Object.keys(command.flags));
    }
    return exitCodes.done;
  }
  if (argv[0] === "--version" || argv[0] === "version") {
    const { version } = await loadConfig("version");
    screen.out(`fleetctl ${version}\n`);
    return exitCodes.done;
  }
  const subject = id === undefined ? words.filter((word) => word !== "help") : id.split(":");
  const isTopic = subject.length === 0 || ids.some((known) => known.startsWith(`${subject.join(":")}:`));
  if (id === undefined && !isTopic) throw unknownCommand(subject, ids);
  await new ScreenHelp(await loadConfig(), screen).showHelp([...subject]);
  return exitCodes.done;
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

/** oclif's help, on our screen. */
class ScreenHelp extends Help {
  readonly #screen: Screen;

  constructor(config: Config, screen: Screen) {
    super(config, { maxWidth: Math.min(screen.columns, 120), stripAnsi: !screen.outIsTerminal });
    this.#screen = screen;
  }

  protected override log(...lines: string[]): void {
    this.#screen.out(`${lines.join(" ")}\n`);
  }
}

/** A bug's stack goes to a file beside the contexts file, not into the face of whoever met it. */
function keepDetails(failure: Failure, argv: readonly string[], screen: Screen): void {
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
