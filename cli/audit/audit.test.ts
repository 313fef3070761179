import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, test, type TestContext } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { EnvelopeSchema } from "#proto/agent/v1/agent";
import { TokenService } from "#proto/fleet/v1/token";
import { auditHeadType, auditRow, readAuditEntry, type AuditEntry } from "#trust";
import { startTestFleet, type TestFleet, until } from "../../server/rpc/agent-service/fixture.ts";
import { signAuditHeads } from "../../server/reconcile/audit-heads.ts";
import { runCli, temporaryDirectory, useContext } from "../../test/support/run-cli.ts";

/** What somebody with the rights of a superuser does: the triggers are no hindrance. */
async function tamper(fleet: TestFleet, ...statements: string[]): Promise<void> {
  // All at once: the server's own loop looks at the log between any two transactions.
  await fleet.at.db.transaction(async (tx) => {
    await tx.execute("set local session_replication_role = replica");
    for (const statement of statements) await tx.execute(statement);
  });
}

const tables = ["audit_entries", "audit_heads", "audit_chains"] as const;

/** Brings the log back to what it was before. */
function restore(fleet: TestFleet, copy: string): Promise<void> {
  const statements = tables.flatMap((table) => [
    `delete from ${table}`,
    `insert into ${table} select * from ${table}_${copy}`,
  ]);
  return tamper(fleet, ...statements);
}

const copies = (name: string) => tables.map((table) => `create table ${table}_${name} as table ${table}`);

const sign = ({ at }: TestFleet) =>
  signAuditHeads({ db: at.db, org: "default", keyring: at.state.keyring, now: () => new Date() });

async function act(fleet: TestFleet, times: number): Promise<void> {
  const tokens = await fleet.at.client(TokenService);
  for (let i = 0; i < times; i += 1) await tokens.createApiToken({ name: `ci-${i}`, role: "viewer" });
}

/** Writes rows anew from one on, each with the hash that it then has, and the end of the chain too. */
async function rewrite(
  fleet: TestFleet,
  from: number,
  change: (entry: AuditEntry) => AuditEntry,
): Promise<void> {
  const { rows } = await fleet.at.db.$client.query<{ body: string; previous: Buffer }>(
    "select body, previous from audit_entries where sequence >= $1 order by sequence",
    [from],
  );
  let previous: Uint8Array = rows[0]?.previous ?? new Uint8Array();
  const statements = rows.map(({ body }, i) => {
    const entry = readAuditEntry(body);
    assert.ok(entry.ok);
    const row = auditRow(i === 0 ? change(entry.value) : entry.value, previous);
    previous = row.hash;
    const hex = (bytes: Uint8Array) => `'\\x${Buffer.from(bytes).toString("hex")}'`;
    return `update audit_entries set body = $q$${row.body}$q$, previous = ${hex(row.previous)}, hash = ${hex(row.hash)}
      where sequence = ${row.sequence}`;
  });
  const end = `update audit_chains set hash = '\\x${Buffer.from(previous).toString("hex")}'`;
  await tamper(fleet, ...statements, end);
}

/** The rollback of a context and a fleet need a test context that lives as long as all of them. */
function lasting(ends: (() => unknown)[]): TestContext {
  return {
    after: (end: () => unknown) => void ends.push(end),
    diagnostic: () => {},
  } as unknown as TestContext;
}

describe("somebody with the database in hand", () => {
  let fleet: TestFleet;
  const ends: (() => unknown)[] = [];
  const verify = async () => {
    const { code, out } = await runCli(["audit", "verify", "-o", "json"]);
    const answer = JSON.parse(out) as {
      rows: number;
      problems: { fault: string; sequence: number; through: number }[];
    };
    const [first] = answer.problems;
    return first === undefined ? [code, "whole"] : [code, first.fault, first.sequence, first.through];
  };

  before(async () => {
    const t = lasting(ends);
    fleet = await startTestFleet(t);
    const { at } = fleet;
    await useContext(t, { server: at.baseUrl, ca: at.ca, token: await at.token("admin") });
    await fleet.enrol("eu-1");
    await act(fleet, 8);
    await until("the log is signed", async () => {
      const { rows } = await at.db.$client.query(
        "select 1 from audit_heads h join audit_chains c using (org, sequence)",
      );
      return rows.length > 0;
    });
    // What the loop signed by chance is left out, so that the tests know which rows are vouched for: 4 and 12.
    await tamper(
      fleet,
      "delete from audit_heads",
      ...copies("all"),
      "update audit_chains c set sequence = 4, hash = e.hash from audit_entries e where e.sequence = 4",
      "delete from audit_entries where sequence > 4",
    );
    await sign(fleet);
    await tamper(fleet, "create table heads_of_4 as table audit_heads");
    await restore(fleet, "all");
    await tamper(fleet, "insert into audit_heads select * from heads_of_4");
    await sign(fleet);
    await tamper(fleet, ...tables.map((table) => `drop table ${table}_all`), ...copies("all"));
  });
  after(async () => {
    for (const end of ends) await end();
  });

  afterEach(async () => {
    await fleet.at.db.$client.query("update agents set audit_head = null");
    await restore(fleet, "all");
  });

  test("a log that nobody touched is whole, and says how much vouches for it", async () => {
    assert.deepEqual(await verify(), [0, "whole"]);
  });

  const cases: readonly (readonly [string, readonly string[], readonly unknown[]])[] = [
    [
      "edits a row",
      ["update audit_entries set body = replace(body, '\"ok\"', '\"OK\"') where sequence = 6"],
      ["edited", 6, 6],
    ],
    ["edits a hash", ["update audit_entries set hash = sha256('x') where sequence = 7"], ["edited", 7, 7]],
    ["deletes a row", ["delete from audit_entries where sequence = 5"], ["deleted", 5, 5]],
    ["deletes the first rows", ["delete from audit_entries where sequence < 3"], ["deleted", 1, 2]],
    [
      "swaps two rows",
      [
        "update audit_entries set sequence = 1000 where sequence = 8",
        "update audit_entries set sequence = 8 where sequence = 9",
        "update audit_entries set sequence = 9 where sequence = 1000",
      ],
      ["reordered", 8, 8],
    ],
    ["cuts off the tail", ["delete from audit_entries where sequence > 9"], ["truncated", 10, 12]],
    [
      "cuts off the tail and sets the end back",
      [
        "delete from audit_entries where sequence > 9",
        "update audit_chains c set sequence = 9, hash = e.hash from audit_entries e where e.sequence = 9",
      ],
      ["truncated", 10, 12],
    ],
    [
      "edits a signed head",
      [
        "update audit_heads set payload = convert_to(replace(convert_from(payload, 'UTF8'), '\"sequence\":4', '\"sequence\":3'), 'UTF8') where sequence = 4",
      ],
      ["bad-head", 3, 3],
    ],
  ];
  for (const [what, statements, found] of cases) {
    test(`who ${what} is found out, with the first bad row`, async () => {
      await tamper(fleet, ...statements);
      assert.deepEqual(await verify(), [1, ...found]);
    });
  }

  test("who edits a row and makes all hashes after it new is found out by the heads", async () => {
    await rewrite(fleet, 6, (entry) => ({ ...entry, actor: { ...entry.actor, name: "somebody else" } }));
    assert.deepEqual(await verify(), [1, "edited", 5, 12]);
  });

  test("who leaves a rewritten row's successors alone betrays the row itself", async () => {
    const { rows } = await fleet.at.db.$client.query<{ body: string; previous: Buffer; hash: Buffer }>(
      "select body, previous, hash from audit_entries where sequence > 6 order by sequence",
    );
    await rewrite(fleet, 6, (entry) => ({ ...entry, target: "nothing" }));
    const back = rows.map(
      ({ previous, hash }, i) =>
        `update audit_entries set previous = '\\x${previous.toString("hex")}', hash = '\\x${hash.toString("hex")}' where sequence = ${i + 7}`,
    );
    await tamper(fleet, ...back);
    assert.deepEqual(await verify(), [1, "edited", 6, 6]);
  });

  test("a database that went on from a backup is a fork: the agents remember what it forgot", async (t) => {
    const { rows } = await fleet.at.db.$client.query<{ payload: Buffer; key_id: string; signature: Buffer }>(
      "select payload, key_id, signature from audit_heads where sequence = 12",
    );
    const [head] = rows;
    assert.ok(head);
    const signatures = [{ keyId: head.key_id, signature: Uint8Array.from(head.signature) }];
    const envelope = { payloadType: auditHeadType, payload: Uint8Array.from(head.payload), signatures };
    const carried = Buffer.from(toBinary(EnvelopeSchema, create(EnvelopeSchema, envelope))).toString("hex");
    await tamper(
      fleet,
      "delete from audit_heads where sequence > 4",
      "delete from audit_entries where sequence > 4",
      "update audit_chains c set sequence = 4, hash = e.hash from audit_entries e where e.sequence = 4",
    );
    assert.deepEqual(await verify(), [0, "whole"], "the database alone cannot know");
    await fleet.at.db.$client.query(`update agents set audit_head = '\\x${carried}'`);
    assert.deepEqual(await verify(), [1, "truncated", 5, 12]);
    await act(fleet, 9);
    await sign(fleet);
    assert.deepEqual(await verify(), [1, "forked", 5, 12]);
    const table = await runCli(["audit", "verify"]);
    assert.equal(table.code, 1);
    assert.match(
      table.out,
      /^NOT WHOLE: first bad row is one of 5 to 12: forked: .*agent "node-1" of cluster "eu-1"/,
    );

    // The same without a server, from a file.
    const file = join(await temporaryDirectory(t), "audit.jsonl");
    const exported = await runCli(["audit", "export"]);
    await writeFile(file, exported.out);
    const offline = await runCli(["audit", "verify", "--file", file, "--server", "https://localhost:1"]);
    assert.deepEqual([offline.code, offline.out], [1, table.out]);
  });

  test("an export verifies where there is no server, and names the line that somebody changed", async (t) => {
    const directory = await temporaryDirectory(t);
    const { out } = await runCli(["audit", "export"]);
    const file = async (name: string, text: string) => {
      await writeFile(join(directory, name), text);
      return join(directory, name);
    };
    const whole = await runCli(["audit", "verify", "--file", await file("whole", out)]);
    assert.equal(whole.code, 0, whole.out + whole.talk);
    assert.match(whole.out, /^Whole: 12 rows of org "default", compared with \d signed heads and 0 heads/);
    const lines = out.split("\n");
    const without = lines.filter((line) => !line.includes('"sequence":"7"')).join("\n");
    const cut = await runCli(["audit", "verify", "--file", await file("cut", without)]);
    assert.match(cut.out, /^NOT WHOLE: first bad row 7: deleted/);
    const broken = await runCli(["audit", "verify", "--file", await file("broken", `${lines[0]}\n{"rows`)]);
    assert.equal(broken.code, 2);
    assert.match(broken.talk, /broken:2 is no line of an export/);
    const other = await file("other.json", "{}");
    const anchored = await runCli(["audit", "verify", "--file", await file("whole", out), "--root", other]);
    assert.match(anchored.talk, /the root that you hold is none of the roots/);
    const right = await fleet.at.db.$client.query<{ body: Buffer }>(
      "select body from trust_metadata where role = 'root'",
    );
    const root = await file("root.json", right.rows[0]?.body.toString() ?? "");
    assert.equal(
      (await runCli(["audit", "verify", "--file", await file("whole", out), "--root", root])).code,
      0,
    );
  });

  test("audit list filters, follows pages and shows why something was refused", async () => {
    const list = async (...flags: string[]) => {
      const { out } = await runCli(["audit", "list", "-o", "json", ...flags]);
      return (JSON.parse(out) as { entries: { method: string; sequence: string }[] }).entries;
    };
    assert.equal((await list()).length, 12);
    assert.deepEqual(
      (await list("--limit", "2")).map(({ sequence }) => sequence),
      ["12", "11"],
    );
    assert.deepEqual((await list("--method", "EnrollmentService/Enroll")).length, 1);
    assert.deepEqual(await list("--actor", "nobody"), []);
    assert.deepEqual(await list("--since", "1h", "--until", "30m"), []);
    const table = await runCli(["audit", "list", "--method", "TrustService/PublishRoot"]);
    assert.match(
      table.out,
      /^ROW +TIME +ACTOR +METHOD +TARGET +OUTCOME\n +1 +\S+ +test admin +PublishRoot +root 1 +ok\n$/,
    );
  });
});
