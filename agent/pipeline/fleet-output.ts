import type { FleetConfig } from "#shipper";
import type { Batch, PipelineAlert } from "./batch.ts";
import { reasonOf } from "./files.ts";
import type { OutputContext } from "./output.ts";
import { QueuedOutput, linesOf } from "./queued-output.ts";
import type { Delivery, Portion } from "./queued-output.ts";
import type { StoredEntry } from "./segment.ts";

const alertsPerEntry = 100;
const entryBytesMax = 256 * 1024;

/** Alerts to the control plane: queued on disk, handed to the main thread in batches, gone when it acknowledges. */
export class FleetOutput extends QueuedOutput {
  readonly config: FleetConfig;
  // Under the server's bounds: 500 alerts and 1 MiB a call.
  protected readonly portion: Portion = { bytesMax: 640 * 1024, countMax: 500, gatherMs: 100 };

  constructor(config: FleetConfig, context: OutputContext) {
    super(config, context);
    this.config = config;
    if (!this.queue.isEmpty) this.startSender();
  }

  override take(batch: Batch): void {
    let lines: Buffer[] = [];
    let bytes = 0;
    for (const alert of batch.alerts) {
      const line = Buffer.from(`${JSON.stringify(alert)}\n`);
      if (lines.length >= alertsPerEntry || (lines.length > 0 && bytes + line.length > entryBytesMax)) {
        this.enqueue(batch.tag, lines.length, batch.oldestMs, lines);
        [lines, bytes] = [[], 0];
      }
      lines.push(line);
      bytes += line.length;
    }
    if (lines.length > 0) this.enqueue(batch.tag, lines.length, batch.oldestMs, lines);
  }

  protected async deliver(entries: readonly StoredEntry[], signal: AbortSignal): Promise<Delivery> {
    const lines = entries.flatMap((entry) => linesOf(entry.body));
    try {
      await this.context.deliverAlerts(
        lines.map((line) => JSON.parse(line.toString()) as PipelineAlert),
        signal,
      );
    } catch (error) {
      return { kind: "retry", why: reasonOf(error) };
    }
    this.delivered += lines.length;
    this.deliveredBytes += entries.reduce((sum, entry) => sum + entry.body.length, 0);
    this.lastError = undefined;
    return { kind: "done" };
  }
}
