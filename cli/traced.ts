import { openTraces, readTraceSettings } from "#traces";
import packageJson from "../package.json" with { type: "json" };
import { Failure, exitCodes, misused } from "./failure.ts";
import { screen } from "./screen.ts";
import { tracing } from "./tracing.ts";

/**
 * A command waits no longer for its last spans. Shorter than the first pause of the exporter before it tries again, so that
 * a collector that is away costs nothing.
 */
const timeoutMs = 750;
/** Whoever sets OTEL_EXPORTER_OTLP_TIMEOUT may want more, and nobody more than this. */
const stopMs = 10_000;

/** Runs a command as the root of a trace, when the environment wants one. */
export async function traced(id: string, work: () => Promise<void>): Promise<void> {
  const read = readTraceSettings(process.env, "fleetctl");
  if (!read.ok) throw misused(read.problems.join("; "), "docs/traces.md   for how traces are set up");
  if (read.settings === undefined) return work();
  const isTimed = (process.env["OTEL_EXPORTER_OTLP_TIMEOUT"] ?? "") !== "";
  const traces = await openTraces({
    settings: isTimed ? read.settings : { ...read.settings, timeoutMs },
    version: packageJson.version,
    onTrouble: (message) => screen().talk(`fleetctl: ${message}\n`),
  });
  const command = traces.begin(`fleetctl ${id.replaceAll(":", " ")}`);
  try {
    await tracing.run({ traces, command }, work);
    command.end();
  } catch (error) {
    const exitCode = error instanceof Failure ? error.exitCode : exitCodes.bug;
    command.note({ "process.exit.code": exitCode });
    // Its words may repeat what was typed.
    command.end(exitCode === exitCodes.done ? undefined : `exit code ${exitCode}`);
    throw error;
  } finally {
    await traces.stop(stopMs);
  }
}
