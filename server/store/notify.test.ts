import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { freshDatabase } from "../../test/support/postgres.ts";
import { listenForChanges, notifyChanged } from "./notify.ts";

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > end) assert.fail(`never: ${what}`);
    await delay(10);
  }
}

async function listening(t: TestContext) {
  const db = await freshDatabase(t);
  let heard = 0;
  const listener = listenForChanges({
    url: db.url,
    onChange: () => {
      heard += 1;
    },
    onError: () => {},
  });
  t.after(() => listener.stop());
  await until("connected", () => listener.isConnected() && heard === 1);
  return { db, listener, heard: () => heard };
}

test("a change is heard when its transaction commits, and not when it is undone", async (t) => {
  const { db, heard } = await listening(t);
  await db.transaction(async (tx) => notifyChanged(tx));
  await until("heard", () => heard() === 2);
  const undone = db.transaction(async (tx) => {
    await notifyChanged(tx);
    throw new Error("undo");
  });
  await assert.rejects(undone, /undo/);
  await notifyChanged(db);
  await until("heard", () => heard() === 3);
});

test("a listener whose connection is cut comes back by itself and looks again, because it may have missed some", async (t) => {
  const { db, listener, heard } = await listening(t);
  const cut = await db.$client.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'falconry-listen' and datname = current_database()",
  );
  assert.equal(cut.rowCount, 1);
  await until("looked again", () => listener.isConnected() && heard() === 2);
  await notifyChanged(db);
  await until("heard", () => heard() === 3);
});
