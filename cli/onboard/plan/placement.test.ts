/** Whether the pods of a DaemonSet run on the nodes whose audit log they are to read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { V1DaemonSet, V1Node, V1PodSpec } from "@kubernetes/client-node";
import { keptFrom } from "./placement.ts";

const role = "node-role.kubernetes.io/control-plane";
const node: V1Node = {
  metadata: { name: "cp-1", labels: { [role]: "", "kubernetes.io/os": "linux", generation: "3" } },
  spec: {
    taints: [
      { key: role, effect: "NoSchedule" },
      { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" },
      { key: "costly", value: "yes", effect: "PreferNoSchedule" },
    ],
  },
};
const daemonSet = (spec: Partial<V1PodSpec>): V1DaemonSet => ({
  spec: { selector: {}, template: { spec: { containers: [], ...spec } } },
});
const tolerations = [{ key: role, operator: "Exists", effect: "NoSchedule" }];
const wants = (expression: object): Partial<V1PodSpec> => ({
  tolerations,
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: "generation", operator: "Exists", ...expression }] }],
      },
    },
  },
});
const fields = (values: string[]): Partial<V1PodSpec> => ({
  tolerations,
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{}, { matchFields: [{ key: "metadata.name", operator: "In", values }] }],
      },
    },
  },
});

const cases: readonly (readonly [how: string, spec: Partial<V1PodSpec>, why: RegExp | undefined])[] = [
  ["without a toleration", {}, /^the taint node-role\.kubernetes\.io\/control-plane:NoSchedule$/],
  ["with a toleration of the taint", { tolerations }, undefined],
  ["that tolerate everything", { tolerations: [{ operator: "Exists" }] }, undefined],
  ["that tolerate the key with every effect", { tolerations: [{ key: role }] }, undefined],
  [
    "that tolerate another effect",
    { tolerations: [{ key: role, operator: "Exists", effect: "NoExecute" }] },
    /taint/,
  ],
  ["that tolerate another value", { tolerations: [{ key: role, value: "x" }] }, /taint/],
  ["for workers", { tolerations, nodeSelector: { role: "worker" } }, /nodeSelector role=worker/],
  ["for Linux", { tolerations, nodeSelector: { "kubernetes.io/os": "linux" } }, undefined],
  ["for another node", { tolerations, nodeName: "cp-2" }, /nodeName cp-2/],
  ["whose affinity is met", wants({}), undefined],
  ["for newer nodes", wants({ operator: "Gt", values: ["3"] }), /affinity/],
  ["for nodes of this age", wants({ operator: "Lt", values: ["4"] }), undefined],
  ["for other values", wants({ operator: "In", values: ["1", "2"] }), /affinity/],
  ["for all but other values", wants({ operator: "NotIn", values: ["1"] }), undefined],
  ["for nodes without the label", wants({ operator: "DoesNotExist" }), /affinity/],
  ["for nodes by name", fields(["cp-1"]), undefined],
  ["for nodes by other names", fields(["cp-2"]), /affinity/],
];
for (const [how, spec, why] of cases) {
  test(`pods ${how} ${why === undefined ? "run on" : "are kept from"} a control-plane node`, () => {
    const kept = keptFrom(daemonSet(spec), node);
    if (why === undefined) assert.equal(kept, undefined);
    else assert.match(kept ?? "", why);
  });
}
