import assert from "node:assert/strict";
import { test } from "node:test";

import { freshDatabase } from "../test/support/postgres.ts";
import { describeError } from "./log.ts";
import { apiTokens } from "./store/schema.ts";

test("the values of a failed query never reach the log, its cause does", async (t) => {
  const db = await freshDatabase(t);
  const canary = "canary-5f1c";
  const at = new Date();
  const error = await db
    .insert(apiTokens)
    .values({
      id: canary,
      name: canary,
      secretHash: new Uint8Array(),
      role: "boss" as "admin",
      expiresAt: at,
      createdAt: at,
      createdBy: canary,
    })
    .then(
      () => assert.fail("was stored"),
      (reason: unknown) => reason,
    );
  assert.match(String(error), /canary-5f1c/, "the library names the values; if it stops to, this can go");
  const text = JSON.stringify(describeError(error));
  assert.doesNotMatch(text, /canary-5f1c/);
  assert.match(text, /api_tokens_role_check/);
});
