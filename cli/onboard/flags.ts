import { Flags, type Interfaces } from "../oclif.ts";
import type { Wanted } from "../connection.ts";
import { misused } from "../failure.ts";
import { durationFlag, envOf, switchFlag, textFlag } from "../flags.ts";
import { joinLabelFlags, joinLabelsFrom } from "../join-label-flags.ts";
import { matching, namespaceFrom } from "./flag-values.ts";
import { givenFrom, lastingFlags } from "./lasting-flags.ts";
import type { OnboardOptions } from "./onboard.ts";
import type { DriverKind, ProgramPlace } from "./plan/settings.ts";

/** Which cluster, for the commands that work in one. `--context` is the kubeconfig's there, as everywhere in Kubernetes. */
export const kubeFlags = {
  context: Flags.string({
    summary: "Context of the kubeconfig; its current one if not given.",
    env: "FLEETCTL_KUBE_CONTEXT",
    helpValue: "NAME",
  }),
  "fleet-context": Flags.string({
    summary: "Context of fleetctl to use instead of the current one or of FLEETCTL_CONTEXT.",
    env: "FLEETCTL_FLEET_CONTEXT",
    helpGroup: "GLOBAL",
    helpValue: "NAME",
  }),
  namespace: Flags.string({
    summary: "Namespace of the agent.",
    default: "falconry",
    helpValue: "NAME",
    env: envOf("namespace"),
  }),
};

export const onboardFlags = {
  ...kubeFlags,
  ...joinLabelFlags,
  label: Flags.string({
    char: "l",
    summary: "Further labels of the cluster that joins.",
    helpValue: "KEY=VALUE",
    env: envOf("label"),
    multiple: true,
    multipleNonGreedy: true,
  }),
  join: Flags.option({
    summary:
      "How agents join: by a token that is carried there, or by the word of the cluster, without a secret. As those do that are there, else token, if not given.",
    options: ["token", "kubernetes"] as const,
    helpValue: "token|kubernetes",
    env: envOf("join"),
  })(),
  driver: Flags.option({
    summary:
      "What runs bundles: the agents; Falco the rules; or Falco the rules and Fluent Bit the shipper config, as pods of DaemonSets. As it is there, else builtin, if not given.",
    options: ["builtin", "falco", "fluent-bit"] as const,
    helpValue: "builtin|falco|fluent-bit",
    env: envOf("driver"),
  })(),
  falco: textFlag(
    "falco",
    "Falco's DaemonSet, with --driver falco or fluent-bit; falco/falco if not given.",
    "NAMESPACE/NAME",
  ),
  "falco-records-url": textFlag(
    "falco-records-url",
    "Falco's plugin k8saudit, to which audit records are sent, with --driver falco or fluent-bit; as it is there if not given, and none ends it.",
    "URL|none",
  ),
  "fluent-bit": textFlag(
    "fluent-bit",
    "Fluent Bit's DaemonSet, with --driver fluent-bit; logging/fluent-bit if not given.",
    "NAMESPACE/NAME",
  ),
  image: textFlag("image", "Image of the agent; there is none that everybody can use.", "NAME@sha256:DIGEST"),
  ...lastingFlags,
  "dry-run": switchFlag("dry-run", "Check everything and show what would be applied; change nothing."),
  print: switchFlag("print", "Print the manifests with a fresh join token, and apply nothing."),
  wait: durationFlag("wait", "How long to wait for the agents; 5m if not given."),
};

const waitSeconds = 300;
const namePattern = /^[A-Za-z0-9]([-A-Za-z0-9.]{0,61}[A-Za-z0-9])?$/;

/** Reads what a person asked for. Throws a failure for a value that cannot be one. */
export function onboardOptions(
  cluster: string,
  flags: Interfaces.InferredFlags<typeof onboardFlags>,
): OnboardOptions {
  const labels = joinLabelsFrom(flags);
  return {
    cluster: matching(cluster, namePattern, "CLUSTER", "letters, digits, - and . only, at most 63"),
    labels,
    join: flags.join,
    ...driverFrom(flags),
    falcoRecords: recordsFrom(flags),
    namespace: namespaceFrom(flags.namespace),
    image: imageFrom(flags.image),
    given: givenFrom(flags, flags.namespace),
    dryRun: flags["dry-run"],
    print: flags.print,
    waitMs: (flags.wait ?? waitSeconds) * 1000,
  };
}

/** Bundles run in agents unless somebody says otherwise; that is said as a driver, so that it can be taken back. */
function driverFrom(flags: {
  readonly driver?: DriverKind | undefined;
  readonly falco?: string | undefined;
  readonly "fluent-bit"?: string | undefined;
  readonly "fluent-bit-data"?: string | undefined;
}): Pick<OnboardOptions, "driver" | "falco" | "fluentBit"> {
  const { driver, falco, "fluent-bit": fluentBit } = flags;
  if (flags["fluent-bit-data"] !== undefined && driver !== undefined && driver !== "fluent-bit") {
    throw misused(
      "--fluent-bit-data says where Fluent Bit keeps positions, and records are not shipped there",
      "--driver fluent-bit",
    );
  }
  if (fluentBit !== undefined && driver !== "fluent-bit") {
    throw misused(
      "--fluent-bit says where Fluent Bit is, and records are not shipped there",
      "--driver fluent-bit",
    );
  }
  if (driver === undefined || driver === "builtin") {
    if (falco === undefined) return { driver, falco: undefined, fluentBit: undefined };
    throw misused("--falco says where Falco is, and rules do not run there", "--driver falco");
  }
  return {
    driver,
    falco: placeFrom(falco ?? "falco/falco", "--falco", "Falco"),
    fluentBit:
      driver === "fluent-bit"
        ? placeFrom(fluentBit ?? "logging/fluent-bit", "--fluent-bit", "Fluent Bit")
        : undefined,
  };
}

/** As the agent takes it; empty for none. */
function recordsFrom(flags: {
  readonly driver?: DriverKind | undefined;
  readonly "falco-records-url"?: string | undefined;
}): string | undefined {
  const { driver, "falco-records-url": url } = flags;
  if (url === undefined) return undefined;
  if (driver === undefined || driver === "builtin") {
    throw misused(
      "--falco-records-url says where Falco takes records, and rules do not run there",
      "--driver falco",
    );
  }
  if (url === "none") return "";
  const shape = /^http:\/\/([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[1-9]\d{0,4})?(\/[\w./-]{0,200})$/;
  matching(
    url,
    shape,
    "--falco-records-url",
    "http://HOST:PORT/PATH, as http://127.0.0.1:9765/k8s-audit, or none",
  );
  if (URL.canParse(url)) return url;
  throw misused(`--falco-records-url "${url}" cannot be used`, "Use http://HOST:PORT/PATH.");
}

function placeFrom(text: string, flag: string, program: string): ProgramPlace {
  const shape = `NAMESPACE/NAME of ${program}'s DaemonSet`;
  matching(text, /^[a-z0-9][a-z0-9-]{0,62}\/[a-z0-9][a-z0-9.-]{0,252}$/, flag, shape);
  const [namespace = "", daemonSet = ""] = text.split("/");
  return { namespace, daemonSet };
}

/** Whom to call; for the commands whose `--context` is the kubeconfig's. */
export function fleetFrom(flags: {
  readonly "fleet-context"?: string | undefined;
  readonly server?: string | undefined;
}): Wanted {
  return { context: flags["fleet-context"] ?? process.env["FLEETCTL_CONTEXT"], server: flags.server };
}

function imageFrom(image: string | undefined): string {
  if (image !== undefined && /^[\w.:@/-]{1,512}$/.test(image)) return image;
  throw misused(
    image === undefined ? "Which image? Nothing says so" : `--image "${image.slice(0, 80)}" is no image`,
    "--image NAME@sha256:DIGEST, or FLEETCTL_IMAGE for all your clusters: docs/onboarding.md",
  );
}
