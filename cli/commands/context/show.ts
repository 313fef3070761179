import { X509Certificate } from "node:crypto";
import { spkiPin } from "#trust";
import { TrustService } from "#proto/fleet/v1/trust";
import { contextsPath, parseCa, readContexts } from "../../contexts.ts";
import { connect, unknownContext } from "../../connection.ts";
import { misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { optionalArg } from "../../flags.ts";
import { renderFields } from "../../output/table.ts";

export default class ContextShow extends FleetCommand {
  static override summary = "Show a context and whether its server answers.";
  static override description =
    "Shows the pin of the CA, by which two people can compare whom they trust. The token is never shown.";
  static override examples = [
    { description: "Whom do I talk to, and does it answer?", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "The CA's pin of another context.",
      command: "<%= config.bin %> <%= command.id %> prod -o json | jq -r .caPin",
    },
  ];
  static override args = { name: optionalArg("Name of the context; the current one if not given.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(ContextShow);
    const path = contextsPath(process.env);
    const stored = await readContexts(path);
    const name = args.name ?? flags.context ?? stored.current;
    if (name === undefined) {
      throw misused(
        `No context is current in ${path}`,
        "fleetctl context list",
        "fleetctl login --server https://HOST:PORT",
      );
    }
    const context = Object.hasOwn(stored.contexts, name) ? stored.contexts[name] : undefined;
    if (context === undefined) throw unknownContext(name, stored, path);
    const ca = new X509Certificate(parseCa(context.ca, `Context "${name}" in ${path}`));
    const view = {
      name,
      server: context.server,
      caPin: spkiPin(ca.raw),
      caUntil: ca.validToDate.toISOString(),
      file: path,
    };
    this.answerWith(
      flags.output,
      () => view,
      () =>
        renderFields([
          ["context", view.name],
          ["server", view.server],
          ["CA pin", view.caPin],
          ["CA valid until", view.caUntil],
          ["file", view.file],
        ]),
    );
    const connection = await connect({ context: name }, process.env);
    try {
      const trust = await connection.client(TrustService).getTrust({});
      this.talk(`The server answers, as org "${trust.org}".`);
    } finally {
      connection.close();
    }
  }
}
