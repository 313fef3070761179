/** The head of the audit log on its way: from the server to the agent's disk, and back in its reports. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sql } from "../server/store/drizzle.ts";
import { fromBinary } from "@bufbuild/protobuf";
import { EnvelopeSchema } from "#proto/agent/v1/agent";
import { readAuditHead } from "#trust";
import { openAuditHead } from "./audit-head.ts";
import { newHome, startAgentFleet, until } from "./testing.ts";

for (const transport of ["stream", "long-poll"] as const) {
  test(`over ${transport}, an agent carries the head, reports it, and says so when the log is set back`, async (t) => {
    const fleet = await startAgentFleet(t);
    const { db } = fleet.at;
    const home = newHome(t, await fleet.joinString(), { FALCONRY_TRANSPORT: transport });
    await home.start();
    const reported = await until("the server knows what the agent carries", async () => {
      const { rows } = await db.execute<{ head: Buffer }>(
        sql`select audit_head as head from agents where audit_head is not null`,
      );
      return rows[0]?.head;
    });
    const said = readAuditHead(fromBinary(EnvelopeSchema, reported).payload);
    const onDisk = () => openAuditHead(home.paths.auditHead, "default").get()?.head;
    assert.ok(said.ok && said.value.sequence <= (onDisk()?.sequence ?? 0));
    await until("the agent has the newest row", async () => {
      const { rows } = await db.execute<{ n: string }>(sql`select max(sequence) as n from audit_entries`);
      return onDisk()?.sequence === Number(rows[0]?.n);
    });
    // Somebody brings back the log of before, with everything that the database knows about it.
    await db.transaction(async (tx) => {
      await tx.execute(sql`set local session_replication_role = replica`);
      await tx.execute(sql`delete from audit_heads`);
      await tx.execute(sql`delete from audit_entries where sequence > 2`);
      await tx.execute(
        sql`update audit_chains c set sequence = 2, hash = e.hash from audit_entries e where e.sequence = 2`,
      );
    });
    await until("the agent says that the log went back", async () =>
      (await fleet.agent())?.conditions.some(({ code }) => code === "audit/rewritten"),
    );
    assert.ok((onDisk()?.sequence ?? 0) > 2);
  });
}
