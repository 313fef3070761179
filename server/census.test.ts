import assert from "node:assert/strict";
import { test } from "node:test";

import { create, toBinary } from "@bufbuild/protobuf";
import { SyncRequestSchema } from "#proto/agent/v1/agent";

import { hasTooManyParts } from "./census.ts";

test("the smallest parts there are, empty messages, are counted however short the message is that they come in", () => {
  for (const count of [1, 2, 100]) {
    const bytes = toBinary(
      SyncRequestSchema,
      create(SyncRequestSchema, { rates: Array.from({ length: count }, () => ({})) }),
    );
    const parts = 4 * count;
    assert.equal(hasTooManyParts(SyncRequestSchema, bytes, parts), false, `${count} within ${parts}`);
    assert.equal(hasTooManyParts(SyncRequestSchema, bytes, parts - 1), true, `${count} beyond ${parts - 1}`);
  }
});
