import { measurePipeline } from "./pipeline-load.ts";
import { measurePush } from "./push-load.ts";

/** A first picture of one agent and one server; later benchmarks set targets. Takes about two minutes. */
export async function run(args: readonly string[]): Promise<object> {
  const [events = "200000", agents = "100", rounds = "5"] = args;
  const input = { events: Number(events), agents: Number(agents), rounds: Number(rounds) };
  return {
    input: {
      ...input,
      audit: "generated, 1 in 40 a planted threat",
      rules: "rules/starter",
      outputs: "modify (4 keys), detect, fleet, file",
    },
    pipeline: await measurePipeline(input.events, input.rounds),
    push: await measurePush(input.agents, input.rounds),
  };
}
