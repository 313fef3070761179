import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { createDetector, loadRules, type Detection, type DetectorOptions } from "../index.ts";

const rules = JSON.stringify([
  {
    rule: "any",
    desc: "d",
    condition: "ka.verb exists",
    output:
      "%ka.verb %ka.target.namespace/%ka.target.resource/%ka.target.name/%ka.target.subresource %ka.user.name %ka.response.code %ka.cluster.name %ka.auth.decision %ka.req.pod.containers.image %ka.sourceips",
    priority: "INFO",
    source: "k8s_audit",
  },
]);

function detect(line: unknown, options: Partial<DetectorOptions> = {}): Detection {
  const { ruleset } = loadRules([{ name: "r.yaml", content: rules }]);
  return createDetector(ruleset, { hostname: "h", ...options }).detect(
    typeof line === "string" ? line : JSON.stringify(line),
  );
}

const messages = ({ alerts }: Detection): readonly string[] =>
  alerts.map(({ output }) => output.replace(/^.*?Informational /, ""));

const event = (name: string): object => ({
  kind: "Event",
  apiVersion: "audit.k8s.io/v1",
  auditID: name,
  stage: "ResponseComplete",
  verb: "delete",
  user: { username: "kim" },
  objectRef: { resource: "secrets", namespace: "prod", name },
  responseStatus: { code: 200 },
  sourceIPs: ["10.0.0.1"],
  stageTimestamp: "2024-05-01T10:00:00.000001Z",
});
const said = (name: string): string => `delete prod/secrets/${name}/<NA> kim 200 <NA> <NA> <NA> (10.0.0.1)`;

const cloudWatch = {
  messageType: "DATA_MESSAGE",
  owner: "123456789012",
  logGroup: "/aws/eks/prod/cluster",
  logStream: "kube-apiserver-audit-0f1e2d3c4b5a",
  subscriptionFilters: ["audit"],
  logEvents: [
    { id: "1", timestamp: 1_714_557_600_000, message: JSON.stringify(event("a")) },
    { id: "2", timestamp: 1_714_557_600_001, message: "I0501 10:00:00 not json" },
    { id: "3", timestamp: 1_714_557_600_002, message: JSON.stringify(event("b")) },
    { id: "4", timestamp: 1_714_557_600_003 },
  ],
};

test("audit events in CloudWatch's delivery for EKS are evaluated, and bad ones counted by name", () => {
  const found = detect(cloudWatch);
  assert.deepEqual(messages(found), [said("a"), said("b")]);
  assert.equal(found.events, 2);
  assert.deepEqual(found.problems, [
    "eks envelope: the message of a log event is no audit event in JSON",
    "eks envelope: a log event has no message",
  ]);
});

test("what CloudWatch's API returns, a single log event and other streams are understood", () => {
  const [first] = cloudWatch.logEvents;
  assert.deepEqual(
    messages(detect({ events: [{ ...first, logStreamName: "kube-apiserver-audit-1", eventId: "9" }] })),
    [said("a")],
  );
  assert.deepEqual(messages(detect({ ...first, ingestionTime: 1 })), [said("a")]);
  for (const logStream of ["kube-scheduler-1", "kube-apiserver-1", "authenticator-1"]) {
    assert.deepEqual(detect({ ...cloudWatch, logStream }), { alerts: [], events: 0, problems: [] });
  }
  assert.deepEqual(detect({ ...cloudWatch, messageType: "CONTROL_MESSAGE" }), {
    alerts: [],
    events: 0,
    problems: [],
  });
});

const record = (name: string, category = "kube-audit"): object => ({
  operationName: "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
  category,
  ccpNamespace: "64ab",
  resourceId: "/SUBSCRIPTIONS/X/RESOURCEGROUPS/Y/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/PROD",
  properties: { log: `${JSON.stringify(event(name))}\n`, stream: "stdout", pod: "kube-apiserver-7d" },
  time: "2024-05-01T10:00:00.0000000Z",
});

test("audit events in AKS's diagnostic records are evaluated, and records of other categories passed over", () => {
  const found = detect({
    records: [
      record("a"),
      record("x", "guard"),
      record("b", "kube-audit-admin"),
      { category: "kube-audit", properties: {} },
    ],
  });
  assert.deepEqual(messages(found), [said("a"), said("b")]);
  assert.deepEqual(found.problems, ["aks envelope: a kube-audit record has no properties.log"]);
  assert.deepEqual(messages(detect(record("c"))), [said("c")]);
});

const logEntry = {
  protoPayload: {
    "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
    authenticationInfo: { principalEmail: "kim@example.com" },
    authorizationInfo: [
      {
        granted: true,
        permission: "io.k8s.core.v1.pods.create",
        resource: "core/v1/namespaces/prod/pods/web",
      },
    ],
    methodName: "io.k8s.core.v1.pods.create",
    request: {
      kind: "Pod",
      spec: { containers: [{ name: "c", image: "evil:1" }] },
      big: 12345678901234567890n.toString(),
    },
    requestMetadata: { callerIp: "203.0.113.5", callerSuppliedUserAgent: "kubectl/v1.30" },
    resourceName: "core/v1/namespaces/prod/pods/web",
    serviceName: "k8s.io",
    status: {},
  },
  insertId: "4f3e",
  resource: {
    type: "k8s_cluster",
    labels: { cluster_name: "eu-1", location: "europe-west1", project_id: "p" },
  },
  timestamp: "2024-05-01T10:00:00.000001Z",
  labels: { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "" },
  logName: "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
  receiveTimestamp: "2024-05-01T10:00:05.5Z",
};
const withPayload = (changes: object): object => ({
  ...logEntry,
  protoPayload: { ...logEntry.protoPayload, ...changes },
});

test("a message that CloudWatch cut is told from one that is no JSON", () => {
  const message = `${JSON.stringify(event("a")).slice(0, 99)}[Truncated...]`;
  const events = [{ timestamp: 1, message }, ...cloudWatch.logEvents.slice(0, 1)];
  const found = detect({ ...cloudWatch, logEvents: events });
  assert.deepEqual(messages(found), [said("a")]);
  assert.deepEqual(found.problems, ["eks envelope: the message of a log event is truncated"]);
});

test("a Cloud Logging entry of GKE is translated into the audit event it was made from", () => {
  const found = detect(logEntry);
  assert.deepEqual(found.problems, []);
  assert.deepEqual(messages(found), [
    "create prod/pods/web/<NA> kim@example.com 201 eu-1 allow (evil:1) (203.0.113.5)",
  ]);
  assert.deepEqual(
    [found.alerts[0]?.time, found.alerts[0]?.auditId],
    ["2024-05-01T10:00:05.500000000Z", "4f3e"],
  );
});

test("names of GKE's resources are taken apart: streams, cluster-wide objects, lists, namespaces", () => {
  const said = (resourceName: string, methodName: string, more: object = {}): string | undefined =>
    messages(detect(withPayload({ resourceName, methodName, ...more })))[0]?.split(" kim")[0];
  assert.equal(
    said("core/v1/namespaces/prod/pods/web/exec", "io.k8s.core.v1.pods.exec.create"),
    "create prod/pods/web/exec",
  );
  assert.equal(
    said(
      "rbac.authorization.k8s.io/v1/clusterroles/admin",
      "io.k8s.authorization.rbac.v1.clusterroles.delete",
    ),
    "delete <NA>/clusterroles/admin/<NA>",
  );
  assert.equal(
    said("core/v1/namespaces/prod/secrets", "io.k8s.core.v1.secrets.list"),
    "list prod/secrets/<NA>/<NA>",
  );
  assert.equal(said("core/v1/secrets", "io.k8s.core.v1.secrets.list"), "list <NA>/secrets/<NA>/<NA>");
  assert.equal(
    said("core/v1/namespaces/prod", "io.k8s.core.v1.namespaces.delete"),
    "delete <NA>/namespaces/prod/<NA>",
  );
  assert.equal(
    said("core/v1/namespaces/prod/finalize", "io.k8s.core.v1.namespaces.finalize.update"),
    "update <NA>/namespaces/prod/finalize",
  );
});

test("an answer that GKE logged as a failure is one, and an exec shows as a started stream", () => {
  const code = (changes: object): string | undefined =>
    /kim@example.com (\S+)/.exec(messages(detect(withPayload(changes)))[0] ?? "")?.[1];
  assert.equal(code({ status: { code: 7, message: "no" } }), "403");
  assert.equal(code({ status: { code: 5 } }), "404");
  assert.equal(code({ resourceName: "core/v1/namespaces/p/pods/w/exec" }), "101");
  assert.equal(code({ methodName: "io.k8s.core.v1.pods.get" }), "200");
});

test("an entry of GKE without an id is an audit event all the same", () => {
  const { insertId: _, ...anonymous } = logEntry;
  assert.equal(messages(detect(anonymous))[0]?.startsWith("create prod/pods/web"), true);
});

test("entries of GKE that hold the event itself, and those of other services, are told apart", () => {
  const entry = (payload: object): object => ({
    logName: "projects/p/logs/x",
    insertId: "1",
    timestamp: "2024-05-01T10:00:00Z",
    ...payload,
  });
  assert.deepEqual(messages(detect(entry({ jsonPayload: event("a") }))), [said("a")]);
  assert.deepEqual(messages(detect(entry({ textPayload: JSON.stringify(event("b")) }))), [said("b")]);
  assert.deepEqual(messages(detect([entry({ jsonPayload: event("a") }), logEntry])).length, 2);
  assert.deepEqual(detect(withPayload({ serviceName: "container.googleapis.com" })).problems, []);
  assert.deepEqual(detect(entry({ jsonPayload: { message: "x" } })).problems, [
    "gke envelope: jsonPayload of a log entry is no audit event",
  ]);
});

test("an envelope is opened once, only if it is asked for, and a broken event inside says what it is", () => {
  assert.deepEqual(detect(cloudWatch, { envelope: "none" }).problems, [
    "data not recognized as a k8s audit event",
  ]);
  assert.deepEqual(detect(cloudWatch, { envelope: "aks" }).problems, [
    "data not recognized as a k8s audit event",
  ]);
  assert.equal(detect(cloudWatch, { envelope: "eks" }).events, 2);
  const twice = { ...cloudWatch, logEvents: [{ timestamp: 1, message: JSON.stringify(cloudWatch) }] };
  assert.deepEqual(detect(twice), {
    alerts: [],
    events: 0,
    problems: ["data not recognized as a k8s audit event"],
  });
  const cut = { ...cloudWatch, logEvents: [{ timestamp: 1, message: '{"kind":"Event"' }] };
  assert.match(detect(cut).problems.join(), /cannot parse JSON/);
});

test("a plain audit event that looks like an envelope inside is an audit event", () => {
  const odd = {
    ...event("a"),
    logEvents: cloudWatch.logEvents,
    records: [record("x")],
    logName: "x",
    protoPayload: {},
  };
  assert.deepEqual(messages(detect(odd)), [said("a")]);
});

test("opening never throws, whatever the envelope holds", () => {
  const key = fc.constantFrom(
    "logEvents",
    "events",
    "message",
    "timestamp",
    "records",
    "category",
    "properties",
    "log",
    "logName",
    "protoPayload",
    "@type",
    "serviceName",
    "methodName",
    "resourceName",
    "labels",
    "resource",
    "status",
    "code",
    "jsonPayload",
    "textPayload",
    "receiveTimestamp",
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(
        null,
        true,
        7,
        "",
        "kube-audit",
        "k8s.io",
        "{}",
        '{"kind":"Event"}',
        logEntry.protoPayload["@type"],
        "core/v1/namespaces/a/pods/b",
      ),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(key, tie("value"), { maxKeys: 5 }),
    ),
  }));
  fc.assert(
    fc.property(value, fc.dictionary(key, value, { maxKeys: 8 }), (one, entry) => {
      assert.equal(detect(one).events, 0);
      detect({ ...logEntry, ...entry });
    }),
    { numRuns: 400 },
  );
});
