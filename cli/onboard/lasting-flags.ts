import { responseActions } from "#trust";
import { misused } from "../failure.ts";
import { envOf, listFlag, textFlag, valuesOf } from "../flags.ts";
import { Flags } from "../oclif.ts";
import { destinationFrom, matching, namespaceFrom } from "./flag-values.ts";
import type { Endpoint, ResponseGrant } from "./plan/settings.ts";

/** What agents are given for good: each stays as it is there until it is given again, and has a word that ends it. */
export const lastingFlags = {
  "audit-log": Flags.string({
    summary:
      "Audit log on the nodes; as it was given before if not given, else what kube-apiserver's pod says, as auto does.",
    helpValue: "FILE|auto",
    env: "FLEETCTL_AUDIT_LOG",
  }),
  destination: listFlag(
    "destination",
    "Where shipper configs may send records, over TLS; as it is there if not given, and none ends it.",
    "HOST:PORT|none",
  ),
  "output-secret": textFlag(
    "output-secret",
    "Secret of yours in the agent's namespace whose files shipper configs may name: tokens, keys, CAs; as it is there if not given, and none ends it.",
    "NAME|none",
  ),
  "server-network": listFlag(
    "server-network",
    "Networks of the server, for the agents' NetworkPolicy; as it is there if not given. With none it is the server's address, and any when it has a name.",
    "ADDRESS/BITS|none",
  ),
  "metrics-namespace": Flags.string({
    summary:
      "Namespace that Prometheus scrapes from, where the cluster has ServiceMonitors; as it is there, else monitoring, if not given.",
    helpValue: "NAME",
    env: envOf("metrics-namespace"),
  }),
  "allow-response": listFlag(
    "allow-response",
    "What agents may do about alerts: webhook, label, isolate, delete-pod; as it is there if not given, and none ends it.",
    "ACTION|none",
  ),
  "response-namespace": listFlag(
    "response-namespace",
    "Namespaces whose pods agents may label, isolate or delete; each has to be there.",
    "NAME",
  ),
  "responses-per-hour": Flags.integer({
    summary:
      "How often within an hour the agents of the cluster may do so together; at least once each. As it is there, else 10, if not given.",
    min: 1,
    max: 100,
    helpValue: "COUNT",
    env: envOf("responses-per-hour"),
  }),
  "fluent-bit-data": textFlag(
    "fluent-bit-data",
    "Where Fluent Bit's pods have a directory of the node for positions and chunks, with --driver fluent-bit; as it is there if not given, and auto finds it by its name.",
    "DIR|auto",
  ),
  "run-as-user": Flags.integer({
    summary:
      "User of the agent where nodes let one read the log; as it is there if not given. 0 is root without capabilities.",
    min: 0,
    max: 2_147_483_647,
    helpValue: "UID",
    env: envOf("run-as-user"),
  }),
};

/** The values of these flags, as a command line or an earlier run has them. */
export interface LastingValues {
  readonly "audit-log"?: string | undefined;
  readonly destination?: string[] | undefined;
  readonly "output-secret"?: string | undefined;
  readonly "server-network"?: string[] | undefined;
  readonly "metrics-namespace"?: string | undefined;
  readonly "allow-response"?: string[] | undefined;
  readonly "response-namespace"?: string[] | undefined;
  readonly "responses-per-hour"?: number | undefined;
  readonly "fluent-bit-data"?: string | undefined;
  readonly "run-as-user"?: number | undefined;
}

/** What was asked for. Undefined means as it is there, null ends it. */
export interface Given {
  readonly auditLog: string | null | undefined;
  readonly destinations: readonly Endpoint[] | null | undefined;
  readonly outputSecret: string | null | undefined;
  readonly serverNetworks: readonly string[] | null | undefined;
  readonly monitoringNamespace: string | undefined;
  readonly fluentBitData: string | null | undefined;
  readonly runAsUser: number | null | undefined;
  readonly responses: Omit<ResponseGrant, "perHour"> | null | undefined;
  readonly responsesPerHour: number | undefined;
}

/** Reads the flags. Throws a failure for a value that cannot be one. */
export function givenFrom(values: LastingValues, home: string): Given {
  const user = values["run-as-user"];
  const monitoring = values["metrics-namespace"];
  return {
    auditLog: oneFrom(values["audit-log"], "auto", (text) =>
      matching(text, /^(\/[\w.-]+){2,}$/, "--audit-log", "a file in a directory of the nodes, or auto"),
    ),
    destinations: manyFrom(values.destination, "--destination", destinationFrom),
    outputSecret: oneFrom(values["output-secret"], "none", (text) =>
      matching(
        text,
        /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/,
        "--output-secret",
        "the name of a Secret, or none",
      ),
    ),
    serverNetworks: manyFrom(values["server-network"], "--server-network", (text) =>
      matching(text, /^[0-9A-Fa-f.:]+\/\d{1,3}$/, "--server-network", "ADDRESS/BITS, or none"),
    ),
    monitoringNamespace: monitoring === undefined ? undefined : namespaceFrom(monitoring),
    fluentBitData: oneFrom(values["fluent-bit-data"], "auto", (text) =>
      matching(
        text,
        /^(\/[\w.-]+)+$/,
        "--fluent-bit-data",
        "an absolute path in the pods of Fluent Bit, or auto",
      ),
    ),
    runAsUser: user === 0 ? null : user,
    responses: responsesFrom(values, home),
    responsesPerHour: values["responses-per-hour"],
  };
}

function oneFrom(
  text: string | undefined,
  end: string,
  parse: (text: string) => string,
): string | null | undefined {
  return text === undefined ? undefined : text === end ? null : parse(text);
}

/** A list, or `none` and nothing besides. */
function manyFrom<T>(
  list: string[] | undefined,
  flag: string,
  parse: (text: string) => T,
): readonly T[] | null | undefined {
  const values = valuesOf(list);
  if (values.length === 0) return undefined;
  if (!values.includes("none")) return values.map(parse);
  if (values.length === 1) return null;
  throw misused(`${flag} none ends what was given before, and there is more beside it`, `${flag} none`);
}

/** What agents may do about alerts. Nothing reaches a namespace that was not named, and none of Kubernetes' own. */
function responsesFrom(values: LastingValues, home: string): Given["responses"] {
  const wanted = valuesOf(values["allow-response"]);
  const namespaces = valuesOf(values["response-namespace"]).map(namespaceFrom);
  if (wanted.length === 0 && namespaces.length === 0) return undefined;
  if (wanted.length === 1 && wanted[0] === "none" && namespaces.length === 0) return null;
  const actions = responseActions.filter((action) => wanted.includes(action));
  const unknown = wanted.find((each) => !responseActions.some((action) => action === each));
  if (unknown !== undefined || actions.length === 0) {
    throw misused(
      `--allow-response "${unknown ?? ""}" is no action`,
      `Use ${responseActions.join(", ")}, or none alone.`,
    );
  }
  const kept = namespaces.find((each) => each.startsWith("kube-") || each === home);
  if (kept !== undefined) throw misused(`--response-namespace ${kept} is protected`, "Name another one.");
  if (namespaces.length === 0 && actions.some((action) => action !== "webhook")) {
    throw misused("In which namespaces? Nothing says so", "--response-namespace shop");
  }
  return { actions, namespaces };
}
