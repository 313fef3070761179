import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { ApiException } from "@kubernetes/client-node";
import { adviceFor, explainKube } from "./kube-error.ts";
import { shellWord } from "./plan/shell-word.ts";

/** As Kubernetes 1.34 words it; each with what its reader has to do. */
const cases: readonly (readonly [code: number, message: string, exitCode: number, next: RegExp])[] = [
  [
    500,
    'Internal error occurred: failed calling webhook "policy.example.com": failed to call webhook: Post "https://policy.policy.svc:443/": dial tcp 10.0.0.9:443: connect: connection refused',
    1,
    /webhook does not answer.*have its owner bring it back/,
  ],
  [
    403,
    'admission webhook "policy.example.com" denied the request: hostPath is not allowed',
    1,
    /webhook of the cluster is in the way/,
  ],
  [
    422,
    "daemonsets.apps \"falconry-agent\" is forbidden: ValidatingAdmissionPolicy 'no-root' with binding 'all' denied request: root is not allowed",
    1,
    /ValidatingAdmissionPolicy of the cluster is in the way/,
  ],
  [
    403,
    'pods "falconry-agent-" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=10, limited: pods=10',
    1,
    /ResourceQuota/,
  ],
  [
    403,
    'pods "falconry-agent-" is forbidden: violates PodSecurity "restricted:latest": hostPath volumes (volume "audit")',
    1,
    /enforce=privileged/,
  ],
  [
    403,
    'configmaps "falconry-agent" is forbidden: unable to create new content in namespace falconry because it is being terminated',
    1,
    /still being deleted/,
  ],
  [
    403,
    'daemonsets.apps is forbidden: User "dev" cannot create resource "daemonsets" in API group "apps" in the namespace "falconry"',
    1,
    /a context whose user may/,
  ],
  [503, "etcdserver: leader changed", 3, /in a moment/],
];
for (const [code, message, exitCode, next] of cases) {
  test(`whoever reads "${message.slice(0, 60)}" is told what to do about that, and not about something else`, () => {
    const body = JSON.stringify({ kind: "Status", message });
    const error = new ApiException(code, "", body, {});
    const failure = explainKube(error, { context: "fake", server: "https://fake" });
    assert.equal(failure.exitCode, exitCode);
    assert.match(failure.message, /context "fake"/);
    assert.match(failure.next.join(" "), next);
    const others = cases.map(([, , , pattern]) => pattern).filter((pattern) => pattern !== next);
    for (const other of others) assert.doesNotMatch(failure.next.join(" "), other);
  });
}

test("a command of ours that is pasted names the context as it is called, whatever stands in its name", () => {
  const names = [
    "prod; rm -rf ~",
    "it's $HOME",
    'a `b` "c"',
    "$& $1",
    "*",
    "",
    "line\nbreak",
    "gke_a@b:c/d.e-f",
  ];
  for (const context of names) {
    const said = execFileSync("sh", ["-c", `printf %s ${shellWord(context)}`], { encoding: "utf8" });
    assert.equal(said, context);
    const place = { context, server: "https://fake" };
    const away = explainKube(new Error("no route"), place).next.join();
    assert.ok(away.startsWith(`kubectl --context ${shellWord(context)} version `), away);
    const advice = adviceFor("failed calling webhook", context)?.join() ?? "";
    assert.ok(advice.includes(`kubectl --context ${shellWord(context)} get validating`), advice);
  }
  assert.equal(shellWord("gke_a@b:c/d.e-f"), "gke_a@b:c/d.e-f", "what needs no quotes has none");
});
