import assert from "node:assert/strict";
import { test } from "node:test";
import { serveFleet } from "../../test/support/fake-fleet.ts";
import { startCluster } from "../../test/support/kubernetes/cluster.ts";
import { runCli, useContext } from "../../test/support/run-cli.ts";

const image = "images.example.com/falconry-agent:1";

test("what agents may do in a namespace is taken away before the list of where it was given is replaced, and who may not take it away is told first", async (t) => {
  const { context } = await serveFleet(t);
  await useContext(t, context);
  let refusal: string | undefined;
  let mayDelete = true;
  const cluster = await startCluster(t, {
    missingImages: [image],
    denies: ({ kind }) => (kind === "DaemonSet" ? refusal : undefined),
    allows: ({ verb, resource }) => mayDelete || verb !== "delete" || resource !== "roles",
  });
  for (const name of ["shop", "web"]) {
    cluster.put({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
  }
  const onboard = (action: string, ...namespaces: readonly string[]) => {
    const where = namespaces.flatMap((each) => ["--response-namespace", each]);
    const what = ["--region", "eu", "--image", image, "--allow-response", action, ...where];
    return runCli(["cluster", "onboard", "eu-1", ...what]);
  };
  const granted = () =>
    ["shop", "web"].filter((each) => cluster.find("Role", each, "falconry-response") !== undefined);
  const remembered = () => {
    const data = cluster.find("ConfigMap", "falconry", "falconry-agent")?.["data"] as Record<string, string>;
    const { responses } = JSON.parse(data["allow.json"] ?? "{}") as { responses?: { namespaces: string[] } };
    return responses?.namespaces;
  };
  await onboard("label", "shop", "web");
  assert.deepEqual(
    [granted(), remembered()],
    [
      ["shop", "web"],
      ["shop", "web"],
    ],
  );

  mayDelete = false;
  const { code, talk } = await onboard("label", "shop");
  assert.equal(code, 1);
  assert.match(talk, /may not delete roles.rbac.authorization.k8s.io in namespace web\n/);
  assert.deepEqual(
    [granted(), remembered()],
    [
      ["shop", "web"],
      ["shop", "web"],
    ],
  );

  // It ends in the middle, as if it were killed.
  [mayDelete, refusal] = [true, "not today"];
  await onboard("label", "shop");
  assert.deepEqual(granted(), ["shop"]);

  refusal = undefined;
  const last = await onboard("webhook", "shop");
  assert.match(last.talk, /no more responses in shop/);
  assert.deepEqual(granted(), [], "webhooks take no role");
});
