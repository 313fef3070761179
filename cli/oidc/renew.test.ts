import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../test/support/run-cli.ts";
import type { Failure } from "../failure.ts";
import { renewed } from "./renew.ts";

test("a login that is over names the command that a shell takes as it stands, whatever the context is called", async (t) => {
  const login = { issuer: "https://id", clientId: "c", expiresAt: 1 };
  const context = { server: "https://localhost:1", ca: "", token: "t", login };
  const name = "ada's fleet";
  const path = join(await temporaryDirectory(t), "contexts.json");
  const connect = () => assert.fail("nobody is asked");
  await assert.rejects(renewed(name, context, path, connect), (error: Failure) => {
    assert.deepEqual(error.next, [`fleetctl login --oidc --name 'ada'\\''s fleet'`]);
    return true;
  });
});
