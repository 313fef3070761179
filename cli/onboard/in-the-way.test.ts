/** What keeps the agents' objects or pods from a cluster is told as it is, with what to do about it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "../../test/support/kubernetes/status.ts";
import { command, image, onboard, world } from "../../test/support/onboard-world.ts";
import { runCli } from "../../test/support/run-cli.ts";
import { until } from "../local/until.ts";

test("an admission webhook that refuses an object is quoted, and the token that did not arrive is revoked", async (t) => {
  const why = 'admission webhook "policy.example.com" denied the request: hostPath is not allowed';
  const { fleet } = await world(t, { denies: ({ kind }) => (kind === "DaemonSet" ? why : undefined) });
  const { code, talk } = await onboard();
  assert.equal(code, 1);
  assert.match(
    talk,
    /FAIL objects applied .*DaemonSet falconry-agent: .*denied the request: hostPath is not allowed/,
  );
  assert.match(talk, /try: An admission webhook of the cluster is in the way/);
  assert.match(talk, /Token jt_0 was revoked/);
  assert.notEqual(fleet.joinTokens[0]?.revokedAt, undefined);
});

test("a webhook that lets the DaemonSet in and refuses its pods is quoted without waiting to the end", async (t) => {
  const podsRefused = 'admission webhook "pods.example.com" denied the request: root is not allowed';
  await world(t, { podsRefused });
  const { code, talk } = await onboard("--wait", "5m");
  assert.equal(code, 1);
  assert.match(talk, /FAIL agents run .*The cluster makes no pod: .*root is not allowed/);
});

test("pods that a webhook refused before are waited for, because the cluster tries again later; what it refuses today ends it", async (t) => {
  const podsRefused = 'admission webhook "pods.example.com" denied the request: root is not allowed';
  const { cluster } = await world(t, { podsRefused, retryMs: 4_000 });
  await onboard();
  const patience = new AbortController();
  const onTalk = (all: string) => {
    if (/FailedCreate is from before; .*rollout restart daemonset\/falconry-agent/.test(all)) {
      cluster.faults.podsRefused = undefined;
    }
    if (/ok {3}agents run/.test(all)) patience.abort();
  };
  const { talk } = await runCli([...command, "--wait", "1m"], { onTalk, interrupt: patience.signal });
  assert.match(talk, /FailedCreate is from before/);
  assert.match(talk, /ok {3}agents run .*cp-1/);
  cluster.faults.podsRefused = podsRefused;
  const changed = await onboard("--destination", "logs.example.com:9200");
  assert.match(changed.talk, /FAIL agents run .*root is not allowed[^]*try: An admission webhook/);
});

test("a webhook that is down is told from one that refuses, and nobody is told to try again in a moment", async (t) => {
  const why = 'Internal error occurred: failed calling webhook "policy.example.com": connection refused';
  await world(t, {
    denies: ({ kind }) => (kind === "ConfigMap" ? new ApiError(500, "InternalError", why) : undefined),
  });
  const { code, talk } = await onboard();
  assert.equal(code, 1);
  assert.match(
    talk,
    /FAIL objects applied .*failed calling webhook[^]*try: The admission webhook does not answer/,
  );
  assert.doesNotMatch(talk, /in a moment/);
});

test("an image that cannot be pulled fails at once, with the pod's events", async (t) => {
  await world(t, { missingImages: [image] });
  const { code, talk } = await onboard("--wait", "5m");
  assert.equal(code, 1);
  assert.match(talk, /FAIL agents run .*on cp-1: ImagePullBackOff: Back-off pulling image/);
  assert.match(talk, /event: Warning Failed: Failed to pull image/);
  assert.match(talk, /try: Check the name of the image/);
});

test("an image that could not be pulled before is waited for, because the node tries again; a try of today that fails ends it", async (t) => {
  const { cluster } = await world(t, { missingImages: [image] });
  await onboard();
  // The kubelet here counts to three, as one that waits says nothing new.
  const event = async () => {
    const [pod = ""] = cluster.pods("falconry");
    return cluster.find("Event", "falconry", `${pod}.failed`);
  };
  await until("the kubelet to wait", 30_000, async () => {
    const count = (await event())?.["count"];
    return count === 3 ? { done: true } : { seen: String(count) };
  });
  let failed = false;
  const onTalk = (all: string) => {
    if (failed || !/cp-1: ImagePullBackOff is from before; the node tries again/.test(all)) return;
    failed = true;
    void event().then((live) => cluster.put({ ...live, count: 4 }, "kubelet"));
  };
  const again = await runCli([...command, "--wait", "1m"], { onTalk });
  assert.ok(failed, again.talk);
  assert.match(again.talk, /FAIL agents run .*on cp-1: ImagePullBackOff: Back-off pulling image/);
  const patience = new AbortController();
  const mended = (all: string) => {
    if (/is from before/.test(all)) cluster.faults.missingImages.length = 0;
    if (/ok {3}agents run/.test(all)) patience.abort();
  };
  const { talk } = await runCli([...command, "--wait", "1m"], {
    onTalk: mended,
    interrupt: patience.signal,
  });
  assert.match(talk, /ok {3}agents run .*cp-1/);
});

test("what somebody else changed in an object is not taken back by force", async (t) => {
  const { cluster } = await world(t, { missingImages: [image] });
  await onboard();
  const config = cluster.find("ConfigMap", "falconry", "falconry-agent");
  assert.ok(config !== undefined);
  cluster.put({ ...config, data: { "allow.json": "{}" } }, "kubectl-edit");
  const { code, talk } = await onboard();
  assert.equal(code, 1);
  assert.match(talk, /ConfigMap falconry-agent: .*conflict with "kubectl-edit": \.data\.allow\.json/);
  assert.match(talk, /Nothing is taken by force/);
  assert.deepEqual(cluster.find("ConfigMap", "falconry", "falconry-agent")?.["data"], { "allow.json": "{}" });
});
