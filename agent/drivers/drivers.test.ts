/** A whole agent with a real server whose rules run in a Falco, and whose shipper is a Fluent Bit, beside it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "../../test/support/free-ports.ts";
import { newHome, rules, shipper, startAgentFleet, until } from "../testing.ts";
import { startFalco } from "../../test/support/falco/falco-process.ts";
import { placeFluentBit } from "../../test/support/fluent-bit/fluent-bit-process.ts";

/** Falco's alerts hold the audit id where the rule prints it. */
const content = (more: string): string => `- rule: Exec into pod
  desc: Somebody opened a shell in a running pod.
  condition: ka.target.subresource = exec${more}
  output: exec by %ka.user.name (%ka.auditid)
  priority: WARNING
  source: k8s_audit
`;

test("what is rolled out runs in Falco and Fluent Bit, alerts reach the fleet, and what they refuse is told", async (t) => {
  const fleet = await startAgentFleet(t);
  const config = shipper("1.0.0");
  const of = (version: string, more = "") =>
    rules(version, { files: [{ path: "rules.yaml", content: content(more) }] });
  const good = of("1.2.0");
  const masked = shipper("1.1.0", "[FILTER]\n  Name mask\n  Match audit\n  Field user.username\n");
  await fleet.release(config, masked, good, of("1.3.0", " and ka.cluster.name exists"));
  const [alertsPort, auditPort] = [await freePort(), await freePort()];
  const falco = await startFalco(t, { alertsPort, auditPort });
  const fluentBit = await placeFluentBit(t);
  const home = newHome(t, await fleet.joinString(), {
    ...falco.env,
    ...fluentBit.env,
    FALCONRY_FALCO_RECORDS_URL: `http://127.0.0.1:${auditPort}/k8s-audit`,
    FALCONRY_SOAK_SECONDS: "1",
  });
  await home.start();
  await fluentBit.start();
  await fleet.assign("rules", "starter@1.2.0");
  await fleet.assign("shipper", "default@1.0.0");
  await until("Falco proves the rules", async () => (await fleet.proved("rules")) === good.digest);
  await until("Fluent Bit proves the config", async () => (await fleet.proved("shipper")) === config.digest);
  home.exec("seen-by-falco");
  await until("its alert arrives", async () => (await fleet.alerts()).includes("seen-by-falco"));
  await until("the rules have soaked", () => home.current().running.rules !== undefined);

  falco.moods("lacks=ka.cluster.name");
  await fleet.assign("rules", "starter@1.3.0");
  await until("the refusal is told", async () =>
    (await fleet.agent())?.attempts.some(
      ({ phase, reason }) => phase === "rejected" && reason === "falco/kept-old",
    ),
  );
  assert.equal(await fleet.proved("rules"), good.digest);

  await fleet.assign("shipper", "default@1.1.0");
  await until("that it cannot mask is told", async () =>
    (await fleet.agent())?.attempts.some(({ reason }) => reason === "shipper/not-in-fluent-bit"),
  );
  assert.equal(await fleet.proved("shipper"), config.digest);

  await falco.kill();
  await until("nobody claims that the rules run", async () => (await fleet.proved("rules")) === undefined);
  const codes = (await fleet.agent())?.conditions.map(({ code }) => code);
  assert.ok(codes?.includes("driver/falco"), JSON.stringify(codes));
  await falco.start();
  await until("they do again", async () => (await fleet.proved("rules")) === good.digest);
  home.exec("after-the-fall");
  await until("alerts go on", async () => (await fleet.alerts()).includes("after-the-fall"));
});
