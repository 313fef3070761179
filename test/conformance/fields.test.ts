import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createDetector } from "#engine";
import { event, load, outcomes, rule } from "./language.ts";

type Wanted = string | readonly string[] | null;

/** What an alert lists for each field; null when the event lacks it. */
function listed(given: unknown, fields: readonly string[]): Readonly<Record<string, unknown>> {
  const output = fields.map((field) => `%${field}`).join(" ");
  const report = load([rule({ condition: "evt.num exists", output })]);
  assert.deepEqual(outcomes(report), ["ok"]);
  const text = typeof given === "string" ? given : JSON.stringify(given);
  const [alert] = createDetector(report.ruleset, { hostname: "h" }).detect(text).alerts;
  assert.ok(alert !== undefined, "the rule fires");
  return (JSON.parse(alert.body) as { output_fields: Record<string, unknown> }).output_fields;
}

function check(what: string, given: unknown, wanted: Readonly<Record<string, Wanted>>): void {
  describe(what, () => {
    const found = listed(given, Object.keys(wanted));
    for (const [field, want] of Object.entries(wanted)) {
      test(`${field} is ${JSON.stringify(want)}`, () => assert.deepEqual(found[field], want));
    }
  });
}

const base = { ...event, objectRef: undefined, requestObject: undefined };
const withBody = (requestObject: unknown) => ({ ...base, requestObject });
const withPod = (spec: unknown) => withBody({ spec });
const pod = (name: string) => `ka.req.pod.containers.${name}`;

check(
  "the envelope",
  { ...event, user: { groups: "g", username: 7 }, impersonatedUser: { username: null } },
  {
    "ka.auditid": "id-1",
    "ka.stage": "ResponseComplete",
    "ka.user.name": "7",
    "ka.user.groups": null,
    "ka.impuser.name": "null",
    "ka.target.namespace": "n",
    "ka.target.subresource": null,
    "ka.response.code": "403",
    "ka.response.reason": null,
    "ka.uri.param[command]": "/bin/sh",
    "ka.uri.param[empty]": "",
    "ka.req.configmap.name": "/etc/passwd",
    "ka.req.binding.subject.has_name[x]": "true",
  },
);

check(
  "annotations",
  {
    ...event,
    annotations: {
      "authorization.k8s.io/decision": "allow",
      "authorization.k8s.io/reason": 'RBAC: "x"\ty',
      "authentication.openshift.io/decision": "d",
      "authentication.openshift.io/username": "u",
      "validation.policy.admission.k8s.io/validation_failure": [{ a: 1 }],
      "pod-security.kubernetes.io/audit-violations": "v",
      cluster_name: "c",
    },
  },
  {
    "ka.auth.decision": "allow",
    "ka.auth.reason": 'RBAC: "x"\ty',
    "ka.auth.openshift.decision": "d",
    "ka.auth.openshift.username": "u",
    "ka.validations.admission.policy.failure": '[{"a":1}]',
    "ka.security.pod.violations": "v",
    "ka.cluster.name": "c",
  },
);

check(
  "an event without an audit id has none of them",
  { ...event, auditID: undefined },
  {
    "ka.verb": null,
    "ka.user.groups": null,
    "ka.uri.param[command]": null,
    "ka.req.binding.subject.has_name[x]": null,
    "json.value[/verb]": "create",
  },
);

check(
  "containers",
  withPod({
    containers: [
      {
        name: "a",
        image: "registry:5000/team/nginx:1",
        command: ["sh", "-c", "id  -u"],
        args: [],
        ports: [{ containerPort: 80 }, { hostPort: 81, containerPort: 82 }, {}],
        securityContext: {
          privileged: false,
          runAsUser: 0,
          capabilities: { add: ["NET_ADMIN", "SYS_TIME"] },
        },
      },
      {
        name: "b",
        image: "team/tool@sha256:00",
        ports: [{ hostPort: 0 }],
        securityContext: { privileged: true, allowPrivilegeEscalation: null, capabilities: { add: [] } },
      },
      { name: "c", image: "plain" },
    ],
    securityContext: { runAsUser: 9, runAsGroup: 1000, fsGroup: 2, supplementalGroups: [1, "two", null] },
    hostNetwork: true,
    hostPID: "yes",
  }),
  {
    [pod("name")]: ["a", "b", "c"],
    [pod("name[1]")]: ["b"],
    [pod("name[3]")]: null,
    [pod("image.repository")]: ["registry", "team/tool", "plain"],
    [pod("command")]: ["sh -c id  -u"],
    [pod("command[1]")]: null,
    [pod("args")]: [""],
    [pod("host_port")]: ["80", "81", "0"],
    [pod("host_port[1]")]: ["0"],
    [pod("host_port[2]")]: null,
    [pod("privileged")]: ["false", "true"],
    [pod("privileged[2]")]: null,
    [pod("allow_privilege_escalation")]: ["null"],
    [pod("run_as_user")]: ["0"],
    [pod("run_as_group")]: null,
    [pod("add_capabilities")]: ['["NET_ADMIN","SYS_TIME"]', "[]"],
    [pod("add_capabilities[0]")]: ['["NET_ADMIN","SYS_TIME"]'],
    [pod("eff_run_as_user")]: ["0", "9", "9"],
    [pod("eff_run_as_group")]: ["1000", "1000", "1000"],
    "ka.req.container.image": "registry:5000/team/nginx:1",
    "ka.req.container.image.repository": "registry",
    "ka.req.container.privileged": "true",
    "ka.req.container.host_network": "true",
    "ka.req.pod.host_network": "true",
    "ka.req.pod.host_pid": "yes",
    "ka.req.pod.host_ipc": null,
    "ka.req.pod.run_as_user": "9",
    "ka.req.pod.fs_group": "2",
    "ka.req.pod.supplemental_groups": ["1", "two", "null"],
    "ka.req.pod.initContainers.name": null,
  },
);

check(
  "containers of which one lacks something",
  withPod({
    containers: [
      { name: "a", image: "x" },
      { name: "b", command: ["a", 1] },
    ],
    initContainers: [{ image: "y", command: "sh" }],
    ephemeralContainers: [{ name: "debug", image: "z:1", securityContext: { privileged: true } }],
  }),
  {
    [pod("name")]: ["a", "b"],
    [pod("image")]: null,
    [pod("image[0]")]: ["x"],
    [pod("image.repository")]: null,
    [pod("command")]: null,
    "ka.req.container.privileged": "false",
    "ka.req.pod.initContainers.name": null,
    "ka.req.pod.initContainers.image": ["y"],
    "ka.req.pod.initContainers.command": null,
    "ka.req.pod.ephemeralContainers.name": ["debug"],
    "ka.req.pod.ephemeralContainers.privileged[0]": ["true"],
  },
);

check("a list of containers that is empty or none", withPod({ containers: [], initContainers: {} }), {
  [pod("name")]: null,
  [pod("privileged")]: null,
  "ka.req.container.image": null,
  "ka.req.pod.initContainers.name": null,
});

check("ports that are no list", withPod({ containers: [{ ports: null }, { ports: [{ hostPort: 1 }] }] }), {
  [pod("host_port")]: null,
  [pod("host_port[1]")]: ["1"],
});

check(
  "a patch, which is an array, has a container that is not privileged",
  withBody([{ op: "add", path: "/spec" }]),
  {
    "ka.req.container.privileged": "false",
    [pod("name")]: null,
    [pod("privileged")]: null,
    "ka.req.pod.host_network": null,
  },
);

check("a body without containers", withBody({ kind: "Pod" }), { "ka.req.container.privileged": null });

check(
  "volumes",
  withPod({
    volumes: [
      { name: "a", hostPath: { path: "/var/run/docker.sock" } },
      { name: "b", hostPath: { path: "/etc" }, emptyDir: {} },
      { name: "c", flexVolume: { driver: "d" } },
    ],
  }),
  {
    "ka.req.pod.volumes.hostpath": ["/var/run/docker.sock", "/etc"],
    "ka.req.pod.volumes.hostpath[1]": ["/etc"],
    "ka.req.pod.volumes.hostpath[2]": null,
    "ka.req.pod.volumes.flexvolume_driver": ["d"],
    "ka.req.pod.volumes.volume_type": ["hostPath", "hostPath", "emptyDir", "flexVolume"],
    "ka.req.pod.volumes.volume_type[2]": ["flexVolume"],
    "ka.req.volume.hostpath[/etc]": "true",
    "ka.req.volume.hostpath[/et]": "false",
    "ka.req.volume.hostpath[/et*]": "true",
    "ka.req.volume.hostpath[*]": "true",
    "ka.req.volume.hostpath[/proc*]": "false",
  },
);

check("a pod without volumes", withPod({}), { "ka.req.volume.hostpath[/etc]": null });

check(
  "bindings",
  withBody({
    roleRef: { name: "admin" },
    subjects: [
      { kind: "User", name: "u", n: 1.0 },
      { kind: "ServiceAccount", name: "s", namespace: "n" },
      { kind: "ServiceAccount", name: "t" },
      { kind: "Group", name: "g" },
    ],
  }),
  {
    "ka.req.binding.role": "admin",
    "ka.req.binding.subjects": [
      '{"kind":"User","name":"u","n":1}',
      '{"kind":"ServiceAccount","name":"s","namespace":"n"}',
      '{"kind":"ServiceAccount","name":"t"}',
      '{"kind":"Group","name":"g"}',
    ],
    "ka.req.binding.subjects.user_names": ["u"],
    "ka.req.binding.subjects.serviceaccount_names": ["s", "t"],
    "ka.req.binding.subjects.serviceaccount_ns_names": ["n:s"],
    "ka.req.binding.subjects.group_names": ["g"],
  },
);

check(
  "roles, services and other bodies",
  withBody({
    data: { k: "v" },
    rules: [{ apiGroups: [""], verbs: ["get", "list"] }, { verbs: ["*"], resources: ["pods"] }, {}],
    spec: { type: "NodePort", ports: [{ port: 80 }, { port: 81 }] },
  }),
  {
    "ka.req.configmap.obj": '{"k":"v"}',
    "ka.req.role.rules": [
      '{"apiGroups":[""],"verbs":["get","list"]}',
      '{"verbs":["*"],"resources":["pods"]}',
      "{}",
    ],
    "ka.req.role.rules.apiGroups": [""],
    "ka.req.role.rules.verbs": ["get", "list", "*"],
    "ka.req.role.rules.verbs[1]": ["*"],
    "ka.req.role.rules.resources[0]": null,
    "ka.req.role.rules.nonResourceURLs": null,
    "ka.req.service.type": "NodePort",
    "ka.req.service.ports": ['[{"port":80},{"port":81}]'],
    "ka.req.service.ports[1]": ['[{"port":80},{"port":81}]'],
  },
);

describe("the target pod is that of the response, for pods alone", () => {
  const withTarget = (objectRef: unknown) => ({
    ...base,
    objectRef,
    responseObject: { metadata: { name: "p" } },
  });
  for (const [objectRef, want] of [
    [{ resource: "pods" }, "p"],
    [{ resource: "pods", subresource: "" }, "p"],
    [{ resource: "pods", subresource: "exec" }, null],
    [{ resource: "services" }, null],
    [undefined, null],
  ] as const) {
    test(`${JSON.stringify(objectRef)}: ${want}`, () =>
      assert.equal(listed(withTarget(objectRef), ["ka.target.pod.name"])["ka.target.pod.name"], want));
  }
});

describe("a parameter of the URI", () => {
  for (const [uri, want] of [
    ["/a?k=1&k=2", "1"],
    ["/a?k", ""],
    ["/a?k=a%20b+c%2B", "a b c+"],
    ["/a?%6B=x", "x"],
    ["/a?x=%zz&k=1", null],
    ["/a?x=1;y=2&k=1", null],
    ["/a%zz?k=1", null],
    ["/a?k=1#k=2", "1"],
    ["/a?j=1", null],
    ["/a", null],
    ["http://host:80/a?k=1", "1"],
    ["http://ho st/a?k=1", null],
    ["a:b/c?k=1", "1"],
    ["1:b/c?k=1", null],
    ["?k=%00", ""],
    ["/a?k=%C3%A4", "\u00e4"],
    ["/a?k=a=b", "a=b"],
    ["/a?&&k=1", "1"],
  ] as const) {
    test(`of ${uri}: ${JSON.stringify(want)}`, () =>
      assert.equal(listed({ ...base, requestURI: uri }, ["ka.uri.param[k]"])["ka.uri.param[k]"], want));
  }
});

const numbers = `{"auditID":"1","stageTimestamp":"2024-01-02T03:04:05Z","verb": 1.0 ,"user":{"username":1e3,"groups":[12345678901234567890, -0, "\\u00e9\\/",{"b": 1 , "a":"\\u00e9","b":2}]},"stage":"a\\u0000b","kind":"Event","requestURI":"x\\ty"}`;
check("JSON is written without blanks and otherwise as it came", numbers, {
  "ka.verb": "1.0",
  "ka.user.name": "1e3",
  "ka.user.groups": ["12345678901234567890", "-0", "é/", '{"b":1,"a":"\\u00e9","b":2}'],
  "ka.stage": "a",
  "ka.uri": "x\ty",
});

check(
  "JSON pointers",
  {
    ...event,
    "a/b": { "m~n": [10, [20, { "": "deep" }]] },
    "": { x: true },
    t: "s",
  },
  {
    "json.value[/a~1b/m~0n/0]": "10",
    "json.value[a~1b/m~0n/1/0]": "20",
    "jevt.value[/a~1b/m~0n]": '[10,[20,{"":"deep"}]]',
    "json.value[/a~1b/m~0n/9]": null,
    "json.value[/a~1b/m~0n/x]": null,
    "json.value[/t]": "s",
    "json.value[/user/username]": "Alice",
    "json.value[/none]": null,
    "json.rawtime": "1704164645678901000",
  },
);
