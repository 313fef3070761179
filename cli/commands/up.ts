import { Flags } from "../oclif.ts";
import { FleetCommand } from "../fleet-command.ts";

export default class Up extends FleetCommand {
  static override summary = "Bring up a whole fleet on this machine.";
  static override description =
    "A real Postgres, a server, signed bundles and one real agent per cluster, each with its own audit log. It stays up until Ctrl-C; the state directory keeps everything for the next start. Exit codes: 0 when Ctrl-C ends a fleet that stays up, 130 when it was still coming up, rolling out its rules or, with --once, proving its steps.";
  static override examples = [
    {
      description: "Three clusters in eu, two in us, one in tr, and a rollout of rules to eu:",
      command: "<%= config.bin %> <%= command.id %>",
    },
    {
      description: "Prove every step and end:",
      command: "<%= config.bin %> <%= command.id %> --once -o json",
    },
    {
      description: "Replay a real audit log into one cluster:",
      command: "<%= config.bin %> <%= command.id %> --region eu=1 --audit-log audit.log",
    },
  ];
  static override flags = {
    once: Flags.boolean({
      summary: "Prove every step, then end; exit code 0 only when all are proved.",
      env: "FALCONRY_UP_ONCE",
    }),
    region: Flags.string({
      summary: "NAME=COUNT: clusters of a region; may be given again. Default: eu=3, us=2, tr=1.",
      multiple: true,
      env: "FALCONRY_UP_REGION",
      helpValue: "NAME=COUNT",
    }),
    "audit-log": Flags.string({
      summary: "Replay this audit log (JSON lines) instead of generating one.",
      env: "FALCONRY_UP_AUDIT_LOG",
      helpValue: "FILE",
    }),
    state: Flags.string({
      summary: "Directory that keeps the fleet.",
      default: ".falconry",
      env: "FALCONRY_UP_STATE",
      helpValue: "DIR",
    }),
    port: Flags.integer({
      summary: "Port of the server; the next one is the log store's.",
      default: 8443,
      min: 1024,
      max: 65_534,
      env: "FALCONRY_UP_PORT",
    }),
    rate: Flags.integer({
      summary: "Audit events per second and cluster. Default: 50, and 500 for a replayed file.",
      min: 1,
      max: 20_000,
      env: "FALCONRY_UP_RATE",
    }),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(Up);
    // A whole fleet's code, which help does without.
    const { runUp } = await import("../local/up.ts");
    await runUp({
      once: flags.once,
      regions: flags.region ?? [],
      auditLog: flags["audit-log"],
      stateDir: flags.state,
      port: flags.port,
      rate: flags.rate,
      json: flags.output === "json",
      screen: this.screen,
    });
  }
}
