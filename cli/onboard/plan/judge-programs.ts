import type { V1DaemonSet, V1Node } from "@kubernetes/client-node";
import { finding, listed, type Finding } from "./finding.ts";
import { readFluentBitPods, type Lack } from "./fluent-bit.ts";
import { keptFrom } from "./placement.ts";
import type { Facts, ProgramFacts } from "./preflight.ts";
import { placeText } from "./program.ts";
import { shellWord } from "./shell-word.ts";

/** What is as it has to be is told with the number of nodes; everything that is not, at once. Doubts are told, and stop nothing. */
function judgeProgram(
  check: "Falco" | "Fluent Bit",
  { place, daemonSet }: ProgramFacts,
  { lacks, doubts }: { readonly lacks: readonly Lack[]; readonly doubts: readonly Lack[] },
): Finding {
  const name = `DaemonSet ${placeText(place)}`;
  const [flag, without] =
    check === "Falco"
      ? ["--falco", "Leave --driver out: then the agents run the rules themselves"]
      : ["--fluent-bit", "--driver falco   then the agents ship themselves"];
  if (daemonSet === "not looked for") return finding(check, "warning", `${name}, not looked for`);
  if (daemonSet === undefined) {
    const where = `${flag} NAMESPACE/DAEMONSET   where it is`;
    return finding(check, "stop", `There is no ${name}`, where, without);
  }
  const all = place.selector === undefined ? [notFindable, ...lacks] : lacks;
  if (all.length > 0) {
    const what = all.map((lack) => lack.what).join("; ");
    const next = all.map((lack) => lack.next);
    return finding(check, "stop", `The pods of ${name} ${what}`, ...next, without);
  }
  const where = `${name}, on ${daemonSet.status?.desiredNumberScheduled ?? 0} nodes`;
  if (doubts.length === 0) return finding(check, "ok", where);
  const said = doubts.map(({ what, next }) => `its pods ${what}: ${next}`);
  return finding(check, "warning", `${where}; ${said.join("; ")}`);
}

const notFindable: Lack = {
  what: "are selected by more than labels, and a Service finds pods by labels alone",
  next: "Give the DaemonSet a selector of matchLabels and nothing else",
};

/** Falco may have its events from elsewhere; without any pod nobody runs the rules. */
export function judgeFalco(
  facts: ProgramFacts,
  { nodes, context }: Pick<Facts, "nodes" | "context">,
): Finding {
  const daemonSet = seen(facts);
  if (daemonSet === undefined) return judgeProgram("Falco", facts, { lacks: [], doubts: [] });
  const lacks = isReady(daemonSet)
    ? []
    : [
        {
          what: "are not ready on any node",
          next: `kubectl --context ${shellWord(context)} -n ${facts.place.namespace} get pods`,
        },
      ];
  return judgeProgram("Falco", facts, {
    lacks,
    doubts: awayFrom(daemonSet, nodes, "what happens there Falco does not see"),
  });
}

/** Audit records are read on control-plane nodes alone. Pods that wait for their first config are not ready. */
export function judgeFluentBit(
  facts: ProgramFacts,
  { nodes, fluentBitData }: Pick<Facts, "nodes" | "fluentBitData">,
  auditLog: string | undefined,
): Finding {
  const daemonSet = seen(facts);
  if (daemonSet === undefined) return judgeProgram("Fluent Bit", facts, { lacks: [], doubts: [] });
  const away = awayFrom(daemonSet, nodes, "let them run where kube-apiserver writes its audit log");
  return judgeProgram("Fluent Bit", facts, {
    lacks: [...readFluentBitPods(daemonSet, auditLog, fluentBitData).lacks, ...away],
    doubts: isReady(daemonSet)
      ? []
      : [
          {
            what: "are not ready on any node",
            next: "at first they wait for what the agents bring; else see why",
          },
        ],
  });
}

function seen({ daemonSet }: ProgramFacts): V1DaemonSet | undefined {
  return daemonSet === "not looked for" ? undefined : daemonSet;
}

function isReady({ status }: V1DaemonSet): boolean {
  return (status?.numberReady ?? 0) > 0;
}

/** Control-plane nodes on which the pods do not run, as one lack. */
export function awayFrom(daemonSet: V1DaemonSet, nodes: readonly V1Node[], next: string): readonly Lack[] {
  const away = nodes.flatMap((node) => {
    const why = keptFrom(daemonSet, node);
    return why === undefined ? [] : [`${node.metadata?.name} (${why})`];
  });
  if (away.length === 0) return [];
  return [{ what: `do not run on control-plane nodes: ${listed(away)}`, next }];
}

/** Whether Falco is sent what is read of audit logs. */
export function judgeRecords({ falcoRecords }: Pick<Facts, "falcoRecords">): Finding {
  const check = "Falco's records";
  if (falcoRecords !== undefined) return finding(check, "ok", falcoRecords);
  return finding(
    check,
    "warning",
    "nobody sends Falco the audit records that are read, so that its rules of source k8s_audit see no events; --falco-records-url http://HOST:9765/k8s-audit has them sent to its plugin k8saudit",
  );
}
