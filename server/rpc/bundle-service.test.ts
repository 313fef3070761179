import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { BundleService } from "#proto/fleet/v1/bundle";
import { BundleKind } from "#proto/fleet/v1/common";
import { TrustService } from "#proto/fleet/v1/trust";
import {
  buildBundle,
  emptyTrusted,
  generateKey,
  newTargets,
  rootPin,
  signMetadata,
  updateTrusted,
} from "#trust";

import {
  must,
  publishRoot,
  push,
  rulesBundle,
  signTargets,
  startTestServer,
  type TestServer,
} from "../testing.ts";

const own = (bytes: Uint8Array) => Uint8Array.from(bytes);

async function refusal(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => assert.fail("was accepted"),
    (reason: unknown) => ConnectError.from(reason),
  );
  return `${Code[error.code]}: ${error.rawMessage}`;
}

/** Everything an agent fetches, verified as an agent does, from the pinned root on. */
async function verifyAsAgent(at: TestServer, root: Uint8Array, now: Date = new Date()) {
  const trust = await at.client(TrustService);
  const bytes = async (role: string) => (await trust.getMetadata({ role })).metadata;
  const [timestamp, snapshot, targets] = await Promise.all(["timestamp", "snapshot", "targets"].map(bytes));
  assert.ok(timestamp && snapshot && targets);
  const trusted = must(emptyTrusted(root, rootPin(root)));
  return updateTrusted(trusted, { roots: [], timestamp, snapshot, targets }, now);
}

test("a pushed bundle is listed, comes back byte for byte, and an agent can verify the whole chain", async (t) => {
  const at = await startTestServer(t);
  const offline = await publishRoot(at);
  const bundle = rulesBundle("1.0.0");
  await push(at, offline, undefined, [bundle]);
  const service = await at.client(BundleService);
  const { bundles } = await service.listBundles({ kind: BundleKind.RULES });
  assert.deepEqual(
    bundles.map(({ ref, counts, listed, targetsVersion }) => [
      ref?.digest,
      { ...counts },
      listed,
      targetsVersion,
    ]),
    [[bundle.digest, { rules: 1, macros: 0, lists: 0 }, true, 1n]],
  );
  for (const name of ["starter", "starter@1.0.0", bundle.digest]) {
    assert.deepEqual(
      Buffer.from((await service.getBundle({ bundle: name })).content),
      Buffer.from(bundle.bytes),
    );
  }
  const verified = await verifyAsAgent(at, offline.bytes);
  assert.equal(verified.ok, true, JSON.stringify(verified));
  assert.match(
    await refusal(service.getBundle({ bundle: "nothing" })),
    /^NotFound: No such bundle: "nothing"/,
  );
});

test("pushing the same again changes nothing; a new push renews what the server signs at once", async (t) => {
  const at = await startTestServer(t);
  const offline = await publishRoot(at);
  const first = rulesBundle("1.0.0");
  const targets = await push(at, offline, undefined, [first]);
  const service = await at.client(BundleService);
  const trust = await at.client(TrustService);
  const versions = async () => (await trust.getTrust({})).roles.map((role) => `${role.role} ${role.version}`);
  assert.deepEqual(await versions(), ["root 1", "targets 1", "snapshot 1", "timestamp 1"]);
  await service.pushBundles({ bundles: [own(first.bytes)], targets: own(targets) });
  assert.deepEqual(await versions(), ["root 1", "targets 1", "snapshot 1", "timestamp 1"]);
  await push(at, offline, targets, [rulesBundle("1.1.0")]);
  assert.deepEqual(await versions(), ["root 1", "targets 2", "snapshot 2", "timestamp 2"]);
  assert.equal((await service.listBundles({})).bundles.length, 2);
});

test("what cannot be trusted is refused: unsigned, foreign key, wrong version, not listed, altered, other org", async (t) => {
  const at = await startTestServer(t);
  const service = await at.client(BundleService);
  const bundle = rulesBundle("1.0.0");
  const stranger = { root: generateKey(), targets: generateKey() };
  const send = (bytes: readonly Uint8Array[], targets: Uint8Array) =>
    refusal(service.pushBundles({ bundles: bytes.map(own), targets: own(targets) }));
  const foreign = await signTargets(stranger, undefined, [bundle]);
  assert.match(await send([bundle.bytes], foreign), /^FailedPrecondition: No trust root has been published/);
  const offline = await publishRoot(at);
  const good = await signTargets(offline, undefined, [bundle]);
  const unsigned = must(newTargets(undefined, { add: [bundle], now: new Date() }));
  assert.match(
    await send([bundle.bytes], unsigned),
    /^FailedPrecondition: targets 1 carries 0 of the 1 valid signatures/,
  );
  assert.match(await send([bundle.bytes], foreign), /^FailedPrecondition: .*trust\/unknown-key/);
  assert.match(await send([bundle.bytes], Buffer.from("{}")), /^InvalidArgument: targets: /);
  const other = rulesBundle("2.0.0");
  assert.match(
    await send([bundle.bytes, other.bytes], good),
    /^InvalidArgument: bundles\[1\]: .*does not list rules\/starter\/2\.0\.0/,
  );
  const altered = rulesBundle("1.0.0", {
    files: [{ path: "rules.yaml", content: "- list: l\n  items: [a]\n" }],
  });
  assert.match(
    await send([altered.bytes], good),
    /^InvalidArgument: bundles\[0\]: .*lists rules\/starter\/1\.0\.0\.json with/,
  );
  assert.match(
    await send([], good),
    /^InvalidArgument: targets: lists bundles that are neither pushed along nor stored/,
  );
  assert.match(await send([Buffer.from("not json")], good), /^InvalidArgument: bundles\[0\]: /);
  const abroad = rulesBundle("1.0.0", { org: "other" });
  assert.match(await send([abroad.bytes], good), /^InvalidArgument: bundles\[0\]: is for the org "other"/);
  const old = must(
    await signMetadata(must(newTargets(undefined, { add: [bundle], now: new Date(0) })), [offline.targets]),
  );
  assert.match(await send([bundle.bytes], old), /^FailedPrecondition: .*trust\/expired/);
  assert.deepEqual((await service.listBundles({})).bundles, []);
  await service.pushBundles({ bundles: [own(bundle.bytes)], targets: own(good) });
  assert.match(
    await send([altered.bytes], await signTargets(offline, undefined, [altered])),
    /^(FailedPrecondition|AlreadyExists): /,
  );
});

test("rules that do not load are refused with file, line and code; so is a layer that breaks them", async (t) => {
  const at = await startTestServer(t);
  const offline = await publishRoot(at);
  const service = await at.client(BundleService);
  const broken = {
    path: "bad.yaml",
    content:
      "- rule: R\n  desc: d\n  condition: ka.nope = x\n  output: o\n  priority: WARNING\n  source: k8s_audit\n",
  };
  const send = async (bundle: ReturnType<typeof rulesBundle>) =>
    refusal(
      service.pushBundles({
        bundles: [own(bundle.bytes)],
        targets: own(await signTargets(offline, undefined, [bundle])),
      }),
    );
  assert.match(
    await send(rulesBundle("1.0.0", { files: [broken] })),
    /^InvalidArgument: .*does not load:[^]*bad\.yaml:\d+:\d+/,
  );
  const layered = rulesBundle("1.0.0", {
    layers: [{ name: "payments", level: "team", selector: { team: "payments" }, files: [broken] }],
  });
  assert.match(
    await send(layered),
    /^InvalidArgument: .*does not load with the layers team-payments:[^]*bad\.yaml/,
  );
});

test("a shipper config is parsed; a mistake in it is named with its line", async (t) => {
  const at = await startTestServer(t);
  const offline = await publishRoot(at);
  const service = await at.client(BundleService);
  const shipper = (content: string) =>
    must(
      buildBundle({
        org: "default",
        kind: "shipper",
        name: "shipper",
        version: "1.0.0",
        files: [{ path: "pipeline.yaml", content }],
        layers: [],
      }),
    );
  const send = async (bundle: ReturnType<typeof shipper>) =>
    service.pushBundles({
      bundles: [own(bundle.bytes)],
      targets: own(await signTargets(offline, undefined, [bundle])),
    });
  const config = (output: string) =>
    `pipeline:\n  inputs:\n    - name: tail\n      path: \${AUDIT_LOG}\n      tag: audit\n      parser: json\n  outputs:\n    - name: ${output}\n      match: "*"\n`;
  assert.match(
    await refusal(send(shipper(config("nothing_known")))),
    /^InvalidArgument: [^]*pipeline\.yaml:\d+:\d+: Output plugin "nothing_known"/,
  );
  const { bundles } = await send(shipper(config("null")));
  assert.deepEqual({ ...bundles[0]?.counts }, { inputs: 1, filters: 0, outputs: 1 });
});

test("more than 16 MiB at once is refused before anything is parsed", async (t) => {
  const at = await startTestServer(t);
  const offline = await publishRoot(at);
  const targets = own(await signTargets(offline, undefined, [rulesBundle("1.0.0")]));
  const service = await at.client(BundleService);
  const many = Array.from({ length: 17 }, () => new Uint8Array(1_000_000));
  assert.match(await refusal(service.pushBundles({ bundles: many, targets })), /^ResourceExhausted: /);
  const tooMany = Array.from({ length: 18 }, () => new Uint8Array(1_024 * 1_024));
  assert.match(await refusal(service.pushBundles({ bundles: tooMany, targets })), /^ResourceExhausted: /);
});
