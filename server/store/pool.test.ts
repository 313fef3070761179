import assert from "node:assert/strict";
import { test } from "node:test";

import { freshDatabaseUrl } from "../../test/support/postgres.ts";
import { sql } from "./drizzle.ts";
import { openPool } from "./pool.ts";

test("a look at a whole fleet is not compiled each time, unless the address of the database says so", async (t) => {
  const url = await freshDatabaseUrl(t);
  for (const [address, expected] of [
    [url, "off"],
    [`${url}&options=-c%20jit%3Don`, "on"],
  ] as const) {
    const db = openPool({ url: address, connectionsMax: 1, onIdleError: () => undefined });
    try {
      const { rows } = await db.execute(sql`show jit`);
      assert.deepEqual(rows, [{ jit: expected }]);
    } finally {
      await db.$client.end();
    }
  }
});
