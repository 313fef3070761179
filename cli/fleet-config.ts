import { Config } from "@oclif/core/config";
import { settings } from "@oclif/core/settings";
import packageJson from "../package.json" with { type: "json" };
import { commandIds, loadCommand } from "./catalogue.ts";
import type { CommandFacts } from "./catalogue.ts";
import type { Command, Interfaces } from "./oclif.ts";
import { topics } from "./topics.ts";

/** oclif's view of us, with the commands that are given. */
export async function createConfig(known: readonly CommandFacts[] = []): Promise<FleetConfig> {
  settings.enableAutoTranspile = false;
  const config = new FleetConfig(known);
  await config.load();
  return config;
}

/** oclif's own ways to find commands all read files, and all but one load each of them; we know ours. */
export class FleetConfig extends Config {
  readonly #known: ReadonlyMap<string, Command.Loadable>;

  constructor(known: readonly CommandFacts[]) {
    const { name, version, description } = packageJson;
    const oclif = { bin: "fleetctl", dirname: "falconry", topicSeparator: " " } as const;
    const pjson = { name, version, description, type: "module", oclif };
    super({ root: import.meta.dirname, isRoot: true, ignoreManifest: true, pjson });
    this.#known = new Map(known.map((facts) => [facts.id, loadable(facts)]));
  }

  override get commands(): Command.Loadable[] {
    return [...this.#known.values()];
  }

  override get commandIDs(): string[] {
    return commandIds();
  }

  /** The nouns; and the commands as well, because oclif takes a topic without any below it for an empty one. */
  override get topics(): Interfaces.Topic[] {
    return [...nouns(), ...commandIds().map((name) => ({ name }))];
  }

  override findCommand(id: string, options: { must: true }): Command.Loadable;
  override findCommand(id: string, options?: { must: boolean }): Command.Loadable | undefined;
  override findCommand(id: string): Command.Loadable | undefined {
    return this.#known.get(id);
  }

  override findTopic(name: string, options: { must: true }): Interfaces.Topic;
  override findTopic(name: string, options?: { must: boolean }): Interfaces.Topic | undefined;
  override findTopic(name: string): Interfaces.Topic | undefined {
    return nouns().find((noun) => noun.name === name);
  }
}

/** Anew each time: oclif writes blanks into the names when it shows them. */
function nouns(): Interfaces.Topic[] {
  return Object.entries(topics).map(([name, { description }]) => ({ name, description }));
}

function loadable(facts: CommandFacts): Command.Loadable {
  const none = { aliases: [], hiddenAliases: [], hidden: false };
  return { ...facts, ...none, load: () => loadCommand(facts.id) };
}
