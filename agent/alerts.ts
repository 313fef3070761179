import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { AlertSchema } from "#proto/agent/v1/agent";
import type { Alert } from "#proto/agent/v1/agent";
import { withHops } from "./domain/canary.ts";
import type { AgentConnection } from "./link/clients.ts";
import type { PipelineAlert } from "./pipeline/pipeline.ts";

const deliverMs = 30_000;

/**
 * Delivers one batch to the server. Rejects when it could not be delivered now; the pipeline keeps it and comes again.
 * An alert that the server will never take is told to `onRefused`, and those around it are delivered.
 */
export async function deliverAlerts(
  batch: readonly PipelineAlert[],
  client: AgentConnection["client"] | undefined,
  onRefused: (alert: PipelineAlert, because: string) => void,
): Promise<void> {
  if (client === undefined) throw new Error("The server is away");
  try {
    const { accepted } = await client.deliverAlerts(
      { alerts: batch.map(alertMessage) },
      { timeoutMs: deliverMs },
    );
    if (accepted < batch.length) throw new Error(`The server took ${accepted} of ${batch.length} alerts`);
  } catch (error) {
    const [first] = batch;
    if (first === undefined || !isRefusal(error)) throw error;
    if (batch.length === 1) return onRefused(first, (error as Error).message);
    // One of them is out of bounds: halves lead to it in a few calls.
    const middle = Math.ceil(batch.length / 2);
    await deliverAlerts(batch.slice(0, middle), client, onRefused);
    await deliverAlerts(batch.slice(middle), client, onRefused);
  }
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof RangeError || (error instanceof ConnectError && error.code === Code.InvalidArgument)
  );
}

function alertMessage(alert: PipelineAlert): Alert {
  const { id, rule, priority, source, output, auditId, tags, hops } = alert;
  const body = hops === undefined ? alert.body : withHops(alert.body, { ...hops, sentMs: Date.now() });
  return create(AlertSchema, {
    id,
    rule,
    priority,
    source,
    output,
    body,
    auditId,
    tags: [...tags],
    time: timestampOf(alert.time),
    rulesDigest: Buffer.from(alert.rulesDigest.replace("sha256:", ""), "hex"),
  });
}

/** RFC 3339 in UTC to the nanosecond, which a Date cannot hold. */
export function timestampOf(time: string): Timestamp {
  const [, whole = "", fraction = ""] = /^([^.Z]+)(?:\.(\d{1,9}))?Z$/.exec(time) ?? [];
  const ms = Date.parse(`${whole}Z`);
  if (Number.isNaN(ms)) throw new RangeError(`"${time}" is no time in UTC`);
  return create(TimestampSchema, { seconds: BigInt(ms / 1000), nanos: Number(fraction.padEnd(9, "0")) });
}
