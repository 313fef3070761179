import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { AlertSchema } from "#proto/agent/v1/agent";
import type { Alert } from "#proto/agent/v1/agent";
import type { AgentConnection } from "./link/clients.ts";
import type { PipelineAlert } from "./pipeline/pipeline.ts";

const deliverMs = 30_000;

/** Delivers one batch to the server. Rejects when it could not be delivered now; the pipeline keeps it and comes again. */
export async function deliverAlerts(
  batch: readonly PipelineAlert[],
  client: AgentConnection["client"] | undefined,
): Promise<void> {
  if (client === undefined) throw new Error("The server is away");
  const { accepted } = await client.deliverAlerts(
    { alerts: batch.map(alertMessage) },
    { timeoutMs: deliverMs },
  );
  if (accepted < batch.length) throw new Error(`The server took ${accepted} of ${batch.length} alerts`);
}

function alertMessage(alert: PipelineAlert): Alert {
  const { id, rule, priority, source, output, body, auditId, tags } = alert;
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
