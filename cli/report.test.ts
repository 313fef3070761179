import assert from "node:assert/strict";
import { test } from "node:test";
import { BundleKind } from "#proto/fleet/v1/common";
import { serveFleet } from "../test/support/fake-fleet.ts";
import { runCli, useContext } from "../test/support/run-cli.ts";

test("report rollouts and report coverage tell of the whole fleet in every format, and refuse two ways to write at once", async (t) => {
  const served = await serveFleet(t);
  await useContext(t, served.context);
  served.fleet.addCluster("eu-1", { region: "eu", environment: "prod" });
  served.fleet.addCluster("us-1", { region: "us" });
  served.fleet.addBundle(BundleKind.RULES, "starter", "1.0.0");
  assert.match((await runCli(["report", "rollouts"])).talk, /0 rollouts/);
  await runCli(["rollout", "rules", "--region", "eu"]);
  const table = await runCli(["report", "rollouts", "--week"]);
  assert.match(table.out, /^STATE +KIND +BUNDLE +PROVED/);
  assert.match(table.out, /^\S+ +rules +starter@1\.0\.0 +[01]\/1 /m);
  const markdown = await runCli(["report", "coverage", "--format", "markdown"]);
  assert.match(markdown.out, /^# Which clusters are watched$/m);
  assert.match(markdown.out, /^\| eu-1 \| eu \| prod \| /m);
  const ofEu = JSON.parse((await runCli(["report", "coverage", "--region", "eu", "-o", "json"])).out) as {
    rows: { cluster: string }[];
  };
  assert.deepEqual(
    ofEu.rows.map(({ cluster }) => cluster),
    ["eu-1"],
  );
  assert.equal((await runCli(["report", "coverage", "--format", "csv", "-o", "json"])).code, 2);
});

test("a schedule of reports reaches the server as it was written, is shown, sent and removed", async (t) => {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  const add =
    "report schedule add execs --report exec --to mail --environment prod --rule R1 --redact user,address --at";
  const added = await runCli([...add.split(" "), "Mon 08:00 Europe/Berlin"]);
  assert.match(added.out, /^Report exec goes to mail at 2026-03-02T07:00:00/);
  const [schedule] = fleet.reports.schedules;
  assert.deepEqual(
    [schedule?.schedule, schedule?.format, schedule?.redact, schedule?.selector?.requirements[0]?.values],
    ["Mon 08:00 Europe/Berlin", "html", ["user", "address"], ["prod"]],
  );
  assert.deepEqual(schedule?.rules, ["R1"]);
  const wide = await runCli("report schedule list -o wide".split(" "));
  assert.match(
    wide.out,
    /^execs +exec +mail +Mon 08:00 Europe\/Berlin .* html +environment=prod +R1 +user,address +test$/m,
  );
  assert.equal((await runCli("report schedule send execs".split(" "))).code, 0);
  assert.deepEqual(fleet.reports.sent, ["execs"]);
  assert.equal((await runCli("report schedule remove execs".split(" "))).code, 0);
  assert.equal((await runCli("report schedule send execs".split(" "))).code, 1);
});

test("nothing found because no cluster has such a label is told apart from nothing found", async (t) => {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  fleet.addCluster("eu-1", { region: "eu", environment: "production" });
  for (const command of ["alerts list", "alerts groups", "alerts stats", "report exec", "report coverage"]) {
    const wrong = await runCli([...command.split(" "), "--environment", "prod"]);
    assert.match(wrong.talk, /No cluster matches environment=prod\. To see their labels: /, command);
    const right = await runCli([...command.split(" "), "--environment", "production"]);
    assert.doesNotMatch(right.talk, /No cluster/, command);
    assert.equal(right.code, 0);
  }
});

test("a report at the command line says how many alerts are not in it because they were not stored", async (t) => {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  fleet.addCluster("eu-1", { region: "eu" });
  assert.match((await runCli(["report", "exec"])).talk, /0 alerts$/m);
  fleet.notStored = 20_134n;
  for (const command of ["report exec", "report exec --format html", "report coverage"]) {
    const { talk } = await runCli(command.split(" "));
    assert.match(talk, /Up to 20134 more alerts were counted and not stored/, command);
  }
  const json = JSON.parse((await runCli("report exec -o json".split(" "))).out) as { notStored: number };
  assert.equal(json.notStored, 20_134);
});
