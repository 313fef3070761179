import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { parse } from "yaml";
import { AlertService } from "#proto/fleet/v1/alert";
import { AuditService } from "#proto/fleet/v1/audit";
import { ResponseService } from "#proto/fleet/v1/response";
import { startApiServer } from "../../test/support/kubernetes/api-server.ts";
import type { FakeApiServer } from "../../test/support/kubernetes/api-server.ts";
import { builtIn } from "../../test/support/kubernetes/resources.ts";
import { auditLine } from "../pipeline/testing/bundles.ts";
import { newHome, rules, shipper, startAgentFleet, until } from "../testing.ts";
import type { Home } from "../testing.ts";

const rulesText = `- rule: Exec into pod
  desc: Somebody opened a shell in a running pod.
  condition: ka.target.subresource = exec
  output: exec (ns=%ka.target.namespace pod=%ka.target.name of=%ka.target.resource code=%ka.response.code)
  priority: WARNING
  source: k8s_audit
`;
const responsesText = `- response: isolate-exec
  rules: [Exec into pod]
  action: isolate
  enforce: true
- response: delete-exec
  rules: [Exec into pod]
  action: delete-pod
`;

const resourceOf = (kind: string) => {
  const found = builtIn.find((each) => each.kind === kind);
  assert.ok(found);
  return found;
};

function addPod(api: FakeApiServer, namespace: string, name: string): void {
  const meta = { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } };
  api.store.put(resourceOf("Namespace"), meta);
  const spec = { containers: [{ name: "main", image: "web" }] };
  api.store.put(resourceOf("Pod"), { apiVersion: "v1", kind: "Pod", metadata: { name, namespace }, spec });
}

/** What a pod of the agent is given: a token and a CA in a folder. */
function accessTo(t: TestContext, api: FakeApiServer): Readonly<Record<string, string>> {
  const dir = mkdtempSync(join(tmpdir(), "falconry-kube-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const { clusters, users } = parse(readFileSync(api.kubeconfig, "utf8")) as {
    clusters: { cluster: { "certificate-authority-data": string } }[];
    users: { user: { token: string } }[];
  };
  const ca = clusters[0]?.cluster["certificate-authority-data"] ?? "";
  writeFileSync(join(dir, "ca.crt"), Buffer.from(ca, "base64"));
  writeFileSync(join(dir, "token"), users[0]?.user.token ?? "");
  return { FALCONRY_KUBE_DIR: dir, FALCONRY_KUBE_URL: api.url };
}

function permit({ env }: Home, responses: object): void {
  const file = env["FALCONRY_ALLOW_FILE"] ?? "";
  const known = JSON.parse(readFileSync(file, "utf8")) as object;
  writeFileSync(file, JSON.stringify({ ...known, responses }));
}

function execInto({ env }: Home, namespace: string, name: string, code: number): void {
  const objectRef = { resource: "pods", subresource: "exec", namespace, name };
  const line = auditLine(`${namespace}-${name}-${code}`, {
    objectRef,
    verb: "create",
    responseStatus: { metadata: {}, code },
  });
  appendFileSync(env["FALCONRY_VAR_AUDIT_LOG"] ?? "", `${line}\n`);
}

test("a pod that somebody got into is closed off once, what may not be done is not, and all of it is in the audit log and beside the alert", async (t) => {
  const fleet = await startAgentFleet(t);
  const api = await startApiServer(t);
  addPod(api, "shop", "web-1");
  addPod(api, "shop", "web-2");
  addPod(api, "kube-system", "dns");
  const files = [
    { path: "rules.yaml", content: rulesText },
    { path: "response.yaml", content: responsesText },
  ];
  await fleet.release(rules("2.0.0", { files }), shipper("1.0.0"));
  const home = newHome(t, await fleet.joinString(), accessTo(t, api));
  permit(home, { actions: ["isolate", "delete-pod"], namespaces: ["shop"], perHour: 10 });
  const agent = await home.start();
  await fleet.assign("rules", "starter@2.0.0");
  await fleet.assign("shipper", "default@1.0.0");
  execInto(home, "shop", "web-1", 101);
  execInto(home, "kube-system", "dns", 101);
  execInto(home, "shop", "web-2", 403);

  const service = await fleet.at.client(ResponseService);
  const told = async (count: number) => {
    const { responses } = await service.listResponses({});
    return responses.length >= count ? responses : undefined;
  };
  const responses = await until("the server knows of all", () => told(6));
  assert.deepEqual(
    responses.map((each) => `${each.action} ${each.namespace}/${each.pod} ${each.outcome}`).toSorted(),
    [
      "delete-pod kube-system/dns denied",
      "delete-pod shop/web-1 dry-run",
      "delete-pod shop/web-2 denied",
      "isolate kube-system/dns denied",
      "isolate shop/web-1 done",
      "isolate shop/web-2 denied",
    ],
  );
  const labelsOf = (namespace: string, name: string) =>
    api.store.find(resourceOf("Pod"), namespace, name)?.metadata["labels"] as object | undefined;
  assert.deepEqual(labelsOf("shop", "web-1"), {
    "falconry/isolated": "true",
    "falconry/response": "isolate-exec",
  });
  assert.deepEqual([labelsOf("shop", "web-2"), labelsOf("kube-system", "dns")], [undefined, undefined]);
  const policy = api.store.find(resourceOf("NetworkPolicy"), "shop", "falconry-isolated");
  assert.deepEqual(policy?.["spec"], {
    podSelector: { matchLabels: { "falconry/isolated": "true" } },
    policyTypes: ["Ingress", "Egress"],
  });

  const { alerts } = await (await fleet.at.client(AlertService)).listAlerts({});
  const first = alerts.find(({ auditId }) => auditId === "shop-web-1-101");
  assert.deepEqual(first?.responses.map(({ outcome }) => outcome).toSorted(), ["done", "dry-run"]);
  const { entries } = await (await fleet.at.client(AuditService)).listAudit({});
  const row = entries.find(
    ({ request }) => request["response"] === "isolate-exec" && request["alert_id"] === first?.id,
  );
  assert.deepEqual([row?.actor?.kind, row?.outcome], ["agent", "ok"]);
  assert.match(row?.target ?? "", /\/shop\/web-1$/);

  // The log is read again from its beginning, as after a state that was put back: the same alerts come, and nothing is done.
  await agent.stop();
  const before = api.requests.length;
  rmSync(join(home.paths.pipeline, "checkpoint.json"));
  addPod(api, "shop", "web-3");
  execInto(home, "shop", "web-3", 101);
  await home.start();
  await until("the new one is done", () => told(8));
  const later = api.requests.slice(before).filter((request) => request.includes("/pods/"));
  assert.ok(later.length > 0 && later.every((request) => request.includes("/web-3")), later.join(", "));
});
