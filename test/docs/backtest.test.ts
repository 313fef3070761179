/** Every command of docs/backtest.md, as it stands there, at a fleet of which the answers are known. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BacktestState } from "#proto/fleet/v1/backtest";
import { BundleKind } from "#proto/fleet/v1/common";
import { until } from "../../server/rpc/agent-service/fixture.ts";
import { serveFleet } from "../support/fake-fleet.ts";
import { runCli, useContext } from "../support/run-cli.ts";
import { blocksOf, commandsOf, readPage, wordsOf } from "./blocks.ts";

const page = readPage("backtest.md");
const lines = blocksOf(page).flatMap(commandsOf);

test("every command of the page on backtests works as it stands there, and has the columns and fields of the page", async (t) => {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  for (const name of ["eu-1", "eu-2"]) fleet.addCluster(name, { region: "eu", team: "payments" });
  fleet.addBundle(BundleKind.RULES, "starter", "1.1.0");
  assert.ok(lines.length >= 5, "the page has commands");
  for (const line of lines) {
    await t.test(line, async () => {
      if (line.includes("--cancel")) {
        fleet.backtests.end = BacktestState.RUNNING;
        const before = fleet.backtests.asked.length;
        const unfinished = runCli(
          wordsOf("fleetctl rules backtest --bundle starter@1.1.0 --all --since 1h").slice(1),
        );
        t.after(() => unfinished);
        await until("it is asked for", () => fleet.backtests.asked.length > before);
      }
      const id = `bt_${fleet.backtests.asked.length}`;
      const { code, out, talk } = await runCli(wordsOf(line.replace("bt_ID", id)).slice(1));
      assert.equal(code, 0, `${line}\n${out}${talk}`);
      if (line.includes("-o json")) {
        // What the page has jq do.
        assert.match(line, /jq '\.rules\[\] \| select\(\.new != "0"\) \| \.rule'$/);
        const { rules } = JSON.parse(out) as { rules: { rule: string; new: string }[] };
        assert.deepEqual(
          rules.filter(({ new: count }) => count !== "0").map(({ rule }) => rule),
          ["Exec into a pod"],
        );
      } else if (line.includes("--cancel")) {
        assert.equal(fleet.backtests.find(id).state, BacktestState.CANCELED);
      } else {
        assert.match(out, /RULE +NOW +THEN +NEW +GONE +CLUSTERS/);
      }
    });
  }
});
