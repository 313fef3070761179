import { createRequire } from "node:module";
import type { DescMessage, DescService, JsonValue, MessageShape } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { Command, Flags, type Interfaces } from "./oclif.ts";
import type * as yaml from "yaml";
import type { Selector } from "#proto/fleet/v1/common";
import type { Connection, Wanted } from "./connection.ts";
import { screen, type Screen } from "./screen.ts";

export type Format = "table" | "wide" | "json" | "yaml";

/** How every JSON answer is shaped: fields are always there, so that a script need not guess. */
const jsonOptions = { alwaysEmitImplicit: true } as const;

/** For what only some answers need. */
const load = createRequire(import.meta.url);

function yamlOf(value: JsonValue): string {
  return (load("yaml") as typeof yaml).stringify(value);
}

/** All that oclif asks of its configuration while a command of ours runs: it has no plugins that want to hear of it. */
const plainConfig = {
  bin: "fleetctl",
  runHook: async () => ({ failures: [], successes: [] }),
  scopedEnvVarKeys: () => [],
} as unknown as Interfaces.Config;

/** What all commands share: whom to call, how to answer, and that errors leave through one door. */
export abstract class FleetCommand extends Command {
  static override baseFlags = {
    context: Flags.string({
      summary: "Context to use instead of the current one.",
      env: "FLEETCTL_CONTEXT",
      helpGroup: "GLOBAL",
      helpValue: "NAME",
    }),
    server: Flags.string({
      summary: "Server address to use instead of the context's; it must have a certificate of the same CA.",
      env: "FLEETCTL_SERVER",
      helpGroup: "GLOBAL",
      helpValue: "URL",
    }),
    output: Flags.option({
      char: "o",
      summary: "How to print the answer.",
      options: ["table", "wide", "json", "yaml"] as const,
      default: "table" as const,
      env: "FLEETCTL_OUTPUT",
      helpGroup: "GLOBAL",
    })(),
  };

  #connection: Connection | undefined;

  /**
   * Runs one command line. oclif's own way loads its configuration first, which looks for plugins, themes and the kind of system: a tenth of
   * what a short command takes.
   */
  static async start(argv: string[]): Promise<void> {
    const OneCommand = this as unknown as new (argv: string[], config: Interfaces.Config) => FleetCommand;
    await new OneCommand(argv, plainConfig)._run();
  }

  /** oclif would warn of outdated spellings here, of which there are none. */
  protected override async init(): Promise<void> {}

  protected get screen(): Screen {
    return screen();
  }

  /** A client for a service of the server that the flags mean. All clients of a command share one connection. */
  protected async client<S extends DescService>(service: S, wanted: Wanted): Promise<Client<S>> {
    return (await this.#connect(wanted)).client(service);
  }

  /** The address of the server that the flags mean. */
  protected async serverUrl(wanted: Wanted): Promise<string> {
    return (await this.#connect(wanted)).server;
  }

  async #connect(wanted: Wanted): Promise<Connection> {
    // The protocol's library, which commands that ask no server do without.
    const { connect } = await import("./connection.ts");
    return (this.#connection ??= await connect(wanted, process.env));
  }

  /** Prints a message as the answer: JSON and YAML in protobuf's JSON mapping, else the lines. */
  protected answer<D extends DescMessage>(
    format: Format,
    schema: D,
    message: MessageShape<D>,
    lines: (wide: boolean) => readonly string[],
  ): void {
    this.answerWith(format, () => toJson(schema, message, jsonOptions), lines);
  }

  /** Prints an answer that is no message. */
  protected answerWith(
    format: Format,
    json: () => JsonValue,
    lines: (wide: boolean) => readonly string[],
  ): void {
    if (format === "json") return this.screen.out(`${JSON.stringify(json(), undefined, 2)}\n`);
    if (format === "yaml") return this.screen.out(yamlOf(json()));
    this.say(lines(format === "wide"));
  }

  /** Prints one message of an endless answer: a line of JSON, a YAML document, or lines. */
  protected answerNext<D extends DescMessage>(
    format: Format,
    schema: D,
    message: MessageShape<D>,
    lines: () => readonly string[],
  ): void {
    if (format === "json") this.screen.out(`${JSON.stringify(toJson(schema, message, jsonOptions))}\n`);
    else if (format === "yaml") this.screen.out(`---\n${yamlOf(toJson(schema, message, jsonOptions))}`);
    else this.say(lines());
  }

  /** Lines of the answer, to standard output. */
  protected say(lines: readonly string[]): void {
    for (const line of lines) this.screen.out(`${line}\n`);
  }

  /** What a person wants to know beside the answer, to standard error. */
  protected talk(...lines: readonly string[]): void {
    for (const line of lines) this.screen.talk(`${line}\n`);
  }

  /** Says so when nothing was found because the selector means no cluster. */
  protected async talkOfNoCluster(selector: Selector | undefined, wanted: Wanted): Promise<void> {
    if (selector === undefined) return;
    const [{ whyNoCluster }, { ClusterService }] = await Promise.all([
      import("./no-cluster.ts"),
      import("#proto/fleet/v1/cluster"),
    ]);
    const why = await whyNoCluster(await this.client(ClusterService, wanted), selector);
    if (why !== undefined) this.talk(why);
  }

  /** oclif would set an exit code and print here; ours leave through `runFleetctl()`. */
  protected override async catch(error: unknown): Promise<never> {
    const { explainPlaced } = await import("./connection.ts");
    throw explainPlaced(error);
  }

  protected override async finally(_error: Error | undefined): Promise<void> {
    this.#connection?.close();
  }
}
