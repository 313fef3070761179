import assert from "node:assert/strict";
import { test } from "node:test";
import { serveFleet } from "../../test/support/fake-fleet.ts";
import { startCluster } from "../../test/support/kubernetes/cluster.ts";
import { builtIn } from "../../test/support/kubernetes/resources.ts";
import { runCli, useContext } from "../../test/support/run-cli.ts";
import { lastingOf, valuesOfLasting } from "./lasting.ts";
import { givenFrom, type LastingValues } from "./lasting-flags.ts";

const everything: LastingValues = {
  "audit-log": "/var/log/other/audit.log",
  destination: ["logs.example.com:9200,[fd00::17]:3100"],
  "output-secret": "falconry-outputs",
  "server-network": ["10.20.0.0/24"],
  "metrics-namespace": "prometheus",
  "allow-response": ["label", "webhook"],
  "response-namespace": ["shop"],
  "responses-per-hour": 3,
  "fluent-bit-data": "/var/lib/fb",
  "run-as-user": 1000,
};
const given = (values: LastingValues) => givenFrom(values, "falconry");
const place = { context: "fake", namespace: "falconry" };
const ends: LastingValues = {
  "audit-log": "auto",
  destination: ["none"],
  "output-secret": "none",
  "server-network": ["none"],
  "metrics-namespace": "monitoring",
  "allow-response": ["none"],
  "fluent-bit-data": "auto",
  "run-as-user": 0,
};

test("whatever was given stays over runs that do not name it, each flag alone and all together", () => {
  const alone = Object.entries(everything).flatMap(([flag, value]): LastingValues[] =>
    flag.startsWith("response") || flag === "allow-response" ? [] : [{ [flag]: value as never }],
  );
  for (const values of [{}, everything, ...alone]) {
    const first = lastingOf(given(values), "none there", place);
    const noted = JSON.parse(JSON.stringify(valuesOfLasting(first))) as LastingValues;
    assert.deepEqual(lastingOf(given({}), noted, place), first);
  }
});

test("each flag has a value that ends what was given, and then the next run does not bring it back", () => {
  const noted = valuesOfLasting(lastingOf(given(everything), "none there", place));
  const ended = lastingOf(given(ends), noted, place);
  assert.deepEqual(ended, lastingOf(given({}), "none there", place));
  assert.deepEqual(valuesOfLasting(ended), {});
});

test("one flag that is given leaves the others as they were, and how often agents may respond changes alone", () => {
  const first = lastingOf(given(everything), "none there", place);
  const again = lastingOf(given({ "responses-per-hour": 7 }), valuesOfLasting(first), place);
  assert.deepEqual(again, { ...first, responses: { ...first.responses, perHour: 7 } });
});

test("a word that ends something is refused beside something", () => {
  for (const values of [
    { destination: ["none", "logs:9200"] },
    { "server-network": ["none,10.0.0.0/8"] },
    { "allow-response": ["none", "label"], "response-namespace": ["shop"] },
  ]) {
    assert.throws(() => given(values));
  }
});

test("onboard run again without flags changes nothing of what agents may do, and says what it kept; a flag with none ends it", async (t) => {
  const { context } = await serveFleet(t);
  await useContext(t, context);
  const image = "images.example.com/falconry-agent:1";
  let mayRead = true;
  const allows = ({ verb, resource }: { readonly verb: string; readonly resource: string }) =>
    mayRead || verb !== "get" || resource !== "daemonsets";
  const cluster = await startCluster(t, { missingImages: [image], allows });
  cluster.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } });
  const onboard = (...more: readonly string[]) =>
    runCli(["cluster", "onboard", "eu-1", "--region", "eu", "--image", image, "--wait", "1s", ...more]);
  const made = () =>
    ["ConfigMap", "NetworkPolicy", "DaemonSet"].map((kind) => {
      const found = cluster.find(kind, "falconry", "falconry-agent");
      return [found?.metadata["annotations"], found?.["spec"], found?.["data"]];
    });
  const responses = ["--allow-response", "label", "--response-namespace", "shop"];
  const outputs = ["--destination", "logs.example.com:9200", "--output-secret", "falconry-outputs"];
  await onboard(...outputs, ...responses, "--run-as-user", "1000", "--server-network", "10.20.0.0/24");
  const before = made();
  assert.match(JSON.stringify(before), /"secretName":"falconry-outputs"/);
  assert.match(JSON.stringify(before), /secretDirectories/);

  const { talk } = await onboard();
  assert.deepEqual(made(), before);
  assert.match(
    talk,
    /ok {3}settings of before +kept: --destination logs\.example\.com:9200; --output-secret falconry-outputs; --server-network 10\.20\.0\.0\/24; --allow-response label; .*--run-as-user 1000\n/,
  );

  const namespaces = builtIn.find(({ kind }) => kind === "Namespace");
  assert.ok(namespaces !== undefined);
  cluster.api.store.remove(namespaces, "", "shop");
  const lost = await onboard();
  assert.equal(lost.code, 1);
  assert.match(lost.talk, /FAIL responses .*namespaces that are not there: shop[^]*--allow-response none/);
  assert.deepEqual(made(), before);
  cluster.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } });

  await onboard("--destination", "none", "--run-as-user", "0", "--allow-response", "none");
  const text = JSON.stringify(made());
  assert.doesNotMatch(text, /logs\.example\.com|"runAsUser":1000|"responses"/);
  assert.match(text, /10\.20\.0\.0\/24/);
  assert.match(text, /"runAsUser":0/);
  assert.equal(cluster.find("Role", "shop", "falconry-response"), undefined);

  mayRead = false;
  const printed = await onboard("--print");
  mayRead = true;
  assert.equal(printed.code, 0, printed.talk);
  assert.match(printed.talk, /warn settings of before +not seen, because .* may not read the DaemonSet/);
  assert.doesNotMatch(printed.out, /falconry\/settings/, "what was noted stays for the next run");

  const notes = (settings: string | undefined) => {
    const agent = cluster.find("DaemonSet", "falconry", "falconry-agent");
    assert.ok(agent !== undefined);
    const noted = agent.metadata["annotations"] as Readonly<Record<string, string>>;
    const { "falconry/settings": _, ...annotations } = noted;
    const own = settings === undefined ? {} : { "falconry/settings": settings };
    cluster.put({ ...agent, metadata: { ...agent.metadata, annotations: { ...annotations, ...own } } });
  };
  for (const bad of ["{", '{"destination":"logs"}', '{"destination":["logs"]}']) {
    notes(bad);
    const refused = await onboard("--dry-run");
    assert.equal(refused.code, 1, bad);
    assert.match(refused.talk, /annotation falconry\/settings that cannot be used/, bad);
    assert.match(refused.talk, /try: kubectl --context fake -n falconry annotate daemonset falconry-agent /);
  }
  notes(undefined);
  assert.match((await onboard("--dry-run")).talk, /warn settings of before +not known/);
});
