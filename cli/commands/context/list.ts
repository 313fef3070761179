import { contextsPath, readContexts } from "../../contexts.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { renderTable } from "../../output/table.ts";

export default class ContextList extends FleetCommand {
  static override summary = "List the servers that this machine knows.";
  static override description =
    "CURRENT marks the one that commands use without --context. Tokens are never shown.";
  static override examples = [
    { description: "Which servers do I know?", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "The address of the current one.",
      command: `<%= config.bin %> <%= command.id %> -o json | jq -r '.contexts[] | select(.current).server'`,
    },
  ];

  override async run(): Promise<void> {
    const { flags } = await this.parse(ContextList);
    const path = contextsPath(process.env);
    const stored = await readContexts(path);
    const contexts = Object.entries(stored.contexts).map(([name, { server }]) => ({
      name,
      server,
      current: name === stored.current,
    }));
    this.answerWith(
      flags.output,
      () => ({ file: path, contexts }),
      (wide) =>
        contexts.length === 0
          ? []
          : renderTable(
              contexts,
              [
                { title: "CURRENT", cell: (context) => (context.current ? "*" : " ") },
                { title: "NAME", cell: (context) => context.name },
                { title: "SERVER", cell: (context) => context.server },
              ],
              { wide },
            ),
    );
    if (contexts.length === 0) {
      this.talk(
        `There is none in ${path}. npm start brings up a fleet here; fleetctl login stores a server that runs.`,
      );
    }
  }
}
