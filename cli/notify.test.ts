import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { type ServedFleet, serveFleet } from "../test/support/fake-fleet.ts";
import { runCli, useContext } from "../test/support/run-cli.ts";

async function newFleet(t: TestContext): Promise<ServedFleet & { readonly dir: string }> {
  const served = await serveFleet(t);
  await useContext(t, served.context);
  const dir = mkdtempSync(join(tmpdir(), "falconry-notify-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return { ...served, dir };
}

const notify = (command: string, ...more: string[]) => runCli(["notify", ...command.split(" "), ...more]);

test("a receiver's secrets come from files without the line's end, reach the server and are never printed", async (t) => {
  const { fleet, dir } = await newFleet(t);
  const file = join(dir, "url");
  writeFileSync(file, "https://hooks.example/T0/s3cret\n");
  const add = `receiver add chat --kind slack --set channel=#soc --secret-file url=${file}`;
  const { code, out, talk } = await notify(add);
  assert.deepEqual([code, out], [0, "Receiver chat (slack) is there.\n"]);
  assert.match(talk, /fleetctl notify receiver test chat/);
  assert.deepEqual(
    { ...fleet.notifications.secrets.get("chat") },
    { url: "https://hooks.example/T0/s3cret" },
  );
  const listed = await notify("receiver list -o wide");
  assert.match(listed.out, /^chat +slack +- +0 +0 +- +20\/min +channel=#soc +url +test$/m);
  for (const said of [out, talk, listed.out, (await notify("receiver list -o json")).out]) {
    assert.doesNotMatch(said, /s3cret/);
  }
  const again = await notify(add);
  assert.deepEqual([again.code, /exists already/.test(again.talk)], [1, true]);
});

test("a secret that is empty, missing or given as itself is refused before the server is asked, and not repeated", async (t) => {
  const { fleet, dir } = await newFleet(t);
  const file = join(dir, "empty");
  writeFileSync(file, "\n");
  const add = "receiver add chat --kind slack --secret-file";
  for (const [value, why] of [
    [`url=${file}`, /The secret "url" is empty/],
    [`url=${file}-not`, /cannot be read \(ENOENT\)/],
    ["https://hooks.example/T0/s3cret", /is not KEY=VALUE/],
  ] as const) {
    const { code, talk } = await notify(add, value);
    assert.equal(code, 2);
    assert.match(talk, why);
  }
  assert.equal(fleet.notifications.receivers.length, 0);
});

test("a test that was not delivered says why and ends as refused, also as JSON", async (t) => {
  const { fleet } = await newFleet(t);
  await notify("receiver add hook --kind webhook --set url=https://hooks.example/x");
  assert.equal((await notify("receiver test hook")).out, "Delivered: hooks.example answered 200: ok\n");
  fleet.notifications.answer = { delivered: false, words: "hooks.example answered 404" };
  const failed = await notify("receiver test hook -o json");
  assert.deepEqual([failed.code, JSON.parse(failed.out)], [1, fleet.notifications.answer]);
  assert.match(failed.talk, /The message was not delivered: hooks\.example answered 404/);
  assert.equal((await notify("receiver test nobody")).code, 1);
});

test("a route reaches the server as it was written, and is shown in the order in which it is asked", async (t) => {
  const { fleet } = await newFleet(t);
  assert.match((await notify("route list")).talk, /nobody is told anything/);
  await notify("receiver add pager --kind pagerduty");
  const flags = ["--match", 'priority>=critical, rule=~"Exec.*"', "--group-by", "rule,region", "--continue"];
  const { code } = await notify("route add oncall --to pager --wait 10s --repeat 1h", ...flags);
  assert.equal(code, 0);
  const [route] = fleet.notifications.routes;
  assert.deepEqual(
    [route?.matchers, route?.groupBy, route?.waitMs, route?.intervalMs, route?.repeatMs],
    ['priority>=critical, rule=~"Exec.*"', ["rule", "region"], 10_000, 0, 3_600_000],
  );
  assert.match((await notify("route list")).out, /^oncall +pager +priority>=critical.* +goes on$/m);
  assert.equal((await notify("route add x --to nobody")).code, 1);
  assert.equal((await notify("route remove oncall")).code, 0);
  assert.equal((await notify("receiver remove pager")).out, "Removed receiver pager.\n");
});

test("dead letters are shown with what they said and why, and are sent again by id or receiver", async (t) => {
  const { fleet } = await newFleet(t);
  assert.match((await notify("dead-letters list")).talk, /Every message got through/);
  for (const subject of ["[Critical] Exec in eu-1", "[Error] Agent silent"]) {
    fleet.notifications.bury("chat", subject);
  }
  const { out } = await notify("dead-letters list");
  assert.match(out, /^nd_1 +chat +\[Error\] Agent silent +\d+s +hooks\.example answered 503/m);
  assert.equal((await notify("dead-letters retry")).code, 2);
  assert.equal((await notify("dead-letters retry nd_1")).out, "1 message will be sent again.\n");
  assert.equal((await notify("dead-letters retry nd_1")).code, 1);
  assert.equal((await notify("dead-letters retry --receiver chat")).code, 0);
});
