import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { type AuditPolicy, decidingRule, parseAuditPolicy } from "./policy.ts";
import { attributesOf, type AuditEvent } from "./recorded.ts";

const path = join(import.meta.dirname, "..", "..", "deploy", "audit", "policy.yaml");
const ours = parseAuditPolicy(readFileSync(path, "utf8"), path);

const levelOf = (policy: AuditPolicy, event: AuditEvent) => {
  const rule = decidingRule(policy, attributesOf(event));
  return rule === undefined ? undefined : policy.rules[rule]?.level;
};

test("resources match as in kube-apiserver: a name alone without subresources, with /* also with them, */x one of all", () => {
  const asked = (resource: string, subresource = "", apiGroup = "") => ({
    objectRef: { apiGroup, resource, subresource, name: "n" },
  });
  const matched = (pattern: string, event: AuditEvent, more: object = {}) =>
    levelOf(
      { rules: [{ level: "Request", resources: [{ group: "", resources: [pattern], ...more }] }] },
      event,
    ) !== undefined;
  assert.ok(matched("pods", asked("pods")));
  assert.ok(!matched("pods", asked("pods", "exec")));
  assert.ok(matched("pods/exec", asked("pods", "exec")));
  assert.ok(matched("pods/*", asked("pods")) && matched("pods/*", asked("pods", "exec")));
  assert.ok(!matched("pods/*", asked("podtemplates")));
  assert.ok(matched("*/status", asked("nodes", "status")) && !matched("*/status", asked("nodes")));
  assert.ok(matched("*", asked("nodes", "status")));
  assert.ok(!matched("pods", asked("pods", "", "metrics.k8s.io")), "another group's pods");
  assert.ok(matched("pods", asked("pods"), { resourceNames: ["n"] }));
  assert.ok(!matched("pods", asked("pods"), { resourceNames: ["m"] }));
});

test("who, how and where have to match all together, and the first rule that does decides", () => {
  const policy: AuditPolicy = {
    rules: [
      { level: "None", users: ["a"], verbs: ["get"], namespaces: ["x"] },
      { level: "Metadata", userGroups: ["g"] },
      { level: "Request", nonResourceURLs: ["/healthz*", "/version"] },
    ],
  };
  const event = {
    user: { username: "a", groups: ["g"] },
    verb: "get",
    objectRef: { resource: "pods", namespace: "x" },
  };
  assert.equal(levelOf(policy, event), "None");
  assert.equal(levelOf(policy, { ...event, verb: "list" }), "Metadata");
  assert.equal(levelOf(policy, { ...event, objectRef: { resource: "pods", namespace: "y" } }), "Metadata");
  assert.equal(levelOf(policy, { ...event, verb: "list", user: { username: "a" } }), undefined);
  assert.equal(levelOf(policy, { requestURI: "/healthz/etcd?verbose" }), "Request");
  assert.equal(levelOf(policy, { requestURI: "/versions" }), undefined);
  assert.equal(levelOf(policy, { requestURI: "/version", objectRef: { resource: "pods" } }), undefined);
});

test("our policy never writes the body of a secret or a token, whoever asks and however", () => {
  for (const username of ["system:apiserver", "system:kube-controller-manager", "mallory"]) {
    for (const verb of ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]) {
      for (const objectRef of [
        { resource: "secrets", namespace: "kube-system" },
        { resource: "serviceaccounts", subresource: "token" },
        { apiGroup: "authentication.k8s.io", resource: "tokenreviews" },
      ]) {
        const user = { username, groups: ["system:nodes", "system:authenticated"] };
        assert.equal(
          levelOf(ours, { user, verb, objectRef }),
          "Metadata",
          `${username} ${verb} ${objectRef.resource}`,
        );
      }
    }
  }
});

test("what is no policy is refused with its name", () => {
  assert.throws(() => parseAuditPolicy("kind: Pod", "p.yaml"), /p\.yaml is no audit policy/);
  assert.throws(() => parseAuditPolicy("", "p.yaml"), /p\.yaml is no audit policy/);
});

const head = "apiVersion: audit.k8s.io/v1\nkind: Policy\n";
for (const [what, text, said] of [
  [
    "of another version",
    "apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: [{ level: Metadata }]",
    /no audit policy that kube-apiserver starts with/,
  ],
  [
    "without a version",
    "kind: Policy\nrules: [{ level: Metadata }]",
    /no audit policy that kube-apiserver starts with/,
  ],
  ["without a rule", `${head}rules: []`, /no audit policy that kube-apiserver starts with/],
  ["that is no YAML", "rules: [", /p\.yaml is no YAML/],
  [
    "with a level that does not exist",
    `${head}rules: [{ level: Metadata }, { level: All }]`,
    /Rule 2 of p\.yaml has the level "All"/,
  ],
  [
    "with a rule for resources and paths",
    `${head}rules: [{ level: None, resources: [{ group: "" }], nonResourceURLs: [/healthz] }]`,
    /Rule 1 of p\.yaml has nonResourceURLs beside resources/,
  ],
  [
    "with a rule for namespaces and paths",
    `${head}rules: [{ level: None, namespaces: [a], nonResourceURLs: [/healthz] }]`,
    /Rule 1 .* beside resources or namespaces/,
  ],
  [
    "with a path that has * in its middle",
    `${head}rules: [{ level: None, nonResourceURLs: [/a*/b] }]`,
    /the nonResourceURL "\/a\*\/b"/,
  ],
  [
    "with a path that begins without /",
    `${head}rules: [{ level: None, nonResourceURLs: [healthz] }]`,
    /the nonResourceURL "healthz"/,
  ],
  [
    "with names of no resource",
    `${head}rules: [{ level: None, resources: [{ group: "", resourceNames: [a] }] }]`,
    /resourceNames without resources/,
  ],
  [
    "with a version in a group",
    `${head}rules: [{ level: None, resources: [{ group: apps/v1 }] }]`,
    /the group "apps\/v1"/,
  ],
  ["with an empty rule", `${head}rules: [null]`, /Rule 1 of p\.yaml is no rule/],
  [
    "with resources that are no list",
    `${head}rules: [{ level: None, resources: pods }]`,
    /resources that are no list/,
  ],
  [
    "that omits a stage there is not",
    `${head}omitStages: [Received]\nrules: [{ level: None }]`,
    /p\.yaml omits the stage "Received"/,
  ],
] as const) {
  test(`a policy ${what} is refused: --apply would leave an API server that does not start`, () => {
    assert.throws(() => parseAuditPolicy(text, "p.yaml"), said);
  });
}

test("what kube-apiserver starts with is taken, with paths, names and stages", () => {
  const rules = [
    `{ level: None, nonResourceURLs: ["*", "/healthz*", "/version"] }`,
    `{ level: Request, namespaces: [a], resources: [{ group: apps, resources: ["*"], resourceNames: [b] }], omitStages: [Panic] }`,
  ];
  const text = `${head}omitStages: [RequestReceived]\nrules: [${rules.join(", ")}]`;
  assert.equal(parseAuditPolicy(text, "p.yaml").rules.length, 2);
});
