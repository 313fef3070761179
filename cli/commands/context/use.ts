import { unknownContext } from "../../connection.ts";
import { changeContexts, contextsPath } from "../../contexts.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { requiredArg } from "../../flags.ts";

export default class ContextUse extends FleetCommand {
  static override summary = "Choose the server that commands talk to.";
  static override description = "A single command goes elsewhere with --context or FLEETCTL_CONTEXT.";
  static override examples = [
    { description: "From now on, production.", command: "<%= config.bin %> <%= command.id %> prod" },
    { description: "Only this once.", command: "<%= config.bin %> cluster list --context prod" },
  ];
  static override args = { name: requiredArg("Name of the context, as context list shows it.") };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(ContextUse);
    const path = contextsPath(process.env);
    let server = "";
    await changeContexts(path, (stored) => {
      const context = Object.hasOwn(stored.contexts, args.name) ? stored.contexts[args.name] : undefined;
      if (context === undefined) throw unknownContext(args.name, stored, path);
      ({ server } = context);
      return { ...stored, current: args.name };
    });
    this.answerWith(
      flags.output,
      () => ({ current: args.name, server }),
      () => [`Commands talk to ${args.name} (${server}) now.`],
    );
  }
}
