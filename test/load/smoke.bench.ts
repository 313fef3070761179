import { run as runPipelines } from "./pipeline.bench.ts";
import { measurePush } from "./push-load.ts";

/** A first picture of one agent and one server; the other benchmarks set targets. Takes about two minutes. */
export async function run(args: readonly string[]): Promise<object> {
  const [records = "200000", agents = "100", rounds = "5"] = args;
  return {
    input: {
      records: Number(records),
      agents: Number(agents),
      rounds: Number(rounds),
      rules: "rules/starter",
    },
    pipeline: await runPipelines(["--records", records, "--rounds", rounds, "--cases", "file+detect+fleet"]),
    push: await measurePush(Number(agents), Number(rounds)),
  };
}
