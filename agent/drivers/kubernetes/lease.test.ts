import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { KubeError } from "./kube-api.ts";
import { Lease } from "./lease.ts";

/** The one object of the lease, in a kube-apiserver that takes no write over another, and a clock that the test moves. */
function leaseIn(t: TestContext) {
  let version = 1;
  let spec: unknown = {};
  const world = { isUp: true, nowMs: 0 };
  const api = {
    get: async () => {
      if (!world.isUp) throw new KubeError(undefined, "it does not answer");
      return { metadata: { resourceVersion: String(version) }, spec };
    },
    replace: async (_path: string, object: object) => {
      const next = object as { readonly metadata: { readonly resourceVersion: string }; spec: unknown };
      if (next.metadata.resourceVersion !== String(version)) throw new KubeError(409, "it was changed");
      version++;
      spec = next.spec;
      return {};
    },
  };
  const heldBy = (holder: string) => {
    const lease = new Lease(api, { namespace: "falco", name: "rules", holder }, () => world.nowMs);
    t.after(() => lease.stop());
    return lease;
  };
  return { world, heldBy };
}

test("an agent that takes its lease while it renews it is no other writer to itself", async (t) => {
  const lease = leaseIn(t).heldBy("cp-1");
  assert.deepEqual(await Promise.all([lease.take(), lease.take()]), [undefined, undefined]);
  assert.equal(lease.isOurs, true);
});

test("a lease that could not be renewed is not ours any more when another agent may take it", async (t) => {
  const { world, heldBy } = leaseIn(t);
  const [first, second] = [heldBy("cp-1"), heldBy("cp-2")];
  assert.equal(await first.take(), undefined);
  assert.equal(await second.take(), "cp-1");
  world.isUp = false;
  world.nowMs += 30_000;
  await assert.rejects(first.take(), KubeError);
  assert.equal(first.isOurs, false);
  world.isUp = true;
  assert.equal(await second.take(), undefined);
  assert.deepEqual([first.isOurs, second.isOurs, await first.take()], [false, true, "cp-2"]);
});
