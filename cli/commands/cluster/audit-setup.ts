import { Flags } from "../../oclif.ts";
import { stringify } from "yaml";
import { applyToHost, type Companion, otherPolicy } from "../../audit-setup/apply.ts";
import { apiserverFlags } from "../../audit-setup/apiserver-flags.ts";
import { mountsFor } from "../../audit-setup/apiserver-mounts.ts";
import { createEstimator } from "../../audit-setup/estimate.ts";
import { ourPolicy } from "../../audit-setup/our-policy.ts";
import { type AuditPolicy, parseAuditPolicy } from "../../audit-setup/policy.ts";
import { misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { envOf, switchFlag, textFlag } from "../../flags.ts";
import { readFileBounded } from "../../load-bundle.ts";
import { checkTokenFile, otherWebhook, webhookConfig, webhookTarget } from "../../audit-setup/webhook.ts";
import { renderApplied, renderEstimate, renderSetup, type Setup } from "../../audit-setup/view.ts";
import { singleEvents, streamPayloads } from "../../rules/payloads.ts";

const policyBytesMax = 1024 * 1024;

export default class ClusterAuditSetup extends FleetCommand {
  static override summary = "Show or make the settings with which an API server writes its audit log.";
  static override description =
    "Prints the audit policy that the starter rules need, and the flags and mounts of kube-apiserver. With --apply on a control-plane host made by kubeadm it writes them. With --sample it counts how much the policy would write, over events that an API server has written under another one. Talks to no server.";
  static override examples = [
    { description: "What to set, to read.", command: "<%= config.bin %> <%= command.id %>" },
    {
      description: "How much it would write.",
      command: "<%= config.bin %> <%= command.id %> --sample /var/log/kubernetes/audit/audit.log",
    },
    {
      description: "Set it, as root on each control-plane host, one after the other.",
      command: "<%= config.bin %> <%= command.id %> --apply",
    },
    {
      description: "Events come to an agent's input http; no log file.",
      command: "<%= config.bin %> <%= command.id %> --webhook-url https://127.0.0.1:9880/audit",
    },
    {
      description: "Only the policy, into a file.",
      command: "<%= config.bin %> <%= command.id %> -o json | jq -r .policy > policy.yaml",
    },
  ];
  static override flags = {
    policy: textFlag("policy", "Use this audit policy instead of ours.", "FILE"),
    sample: textFlag(
      "sample",
      "Audit log to estimate from, packed by gzip or not, or - for standard input.",
      "FILE",
    ),
    "policy-path": pathFlag(
      "policy-path",
      "Where the policy lies on the host.",
      "/etc/kubernetes/audit/policy.yaml",
    ),
    "log-path": pathFlag(
      "log-path",
      "Where the log lies on the host.",
      "/var/log/kubernetes/audit/audit.log",
    ),
    "webhook-url": textFlag("webhook-url", "Send events there instead of into a log file.", "URL"),
    "webhook-ca": {
      ...textFlag(
        "webhook-ca",
        "Certificates of that address's authority, put into the client config.",
        "FILE",
      ),
      dependsOn: ["webhook-url"],
    },
    "webhook-token-file": {
      ...textFlag("webhook-token-file", "Where the token for that address lies on the host.", "PATH"),
      dependsOn: ["webhook-url"],
    },
    "webhook-path": pathFlag(
      "webhook-path",
      "Where the webhook's client config lies on the host.",
      "/etc/kubernetes/audit/webhook.yaml",
    ),
    apply: {
      ...switchFlag("apply", "Write the files and change the manifest of kube-apiserver."),
      exclusive: ["sample"],
    },
    "replace-policy": {
      ...switchFlag("replace-policy", "Let --apply replace a policy that lies there; it is kept beside."),
      dependsOn: ["apply"],
    },
    manifest: pathFlag(
      "manifest",
      "Static pod of kube-apiserver.",
      "/etc/kubernetes/manifests/kube-apiserver.yaml",
    ),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(ClusterAuditSetup);
    const text =
      flags.policy === undefined
        ? ourPolicy()
        : Buffer.from(await readFileBounded(flags.policy, policyBytesMax)).toString("utf8");
    const policy = parseAuditPolicy(text, flags.policy ?? "The policy");
    if (flags.sample !== undefined) return await this.#estimate(policy, flags.sample, flags.output);
    const setup = await this.#setup(text, flags);
    if (flags.apply) {
      const replaces = flags["replace-policy"] || flags.policy !== undefined;
      return await this.#apply(setup, replaces, flags.manifest, flags.output);
    }
    const { webhook } = setup;
    this.answerWith(
      flags.output,
      () => ({
        policyPath: setup.policyPath,
        policy: text,
        flags: Object.fromEntries(setup.flags),
        mounts: setup.mounts.map((mount) => ({ ...mount })),
        ...(webhook === undefined
          ? {}
          : { webhook: { path: webhook.path, config: stringify(webhook.config) } }),
      }),
      () => renderSetup(setup),
    );
    this.talk("Nothing was changed: --apply on a control-plane host made by kubeadm does it.");
  }

  async #setup(policy: string, flags: SetupFlags): Promise<Setup> {
    const url = flags["webhook-url"];
    const tokenFile = flags["webhook-token-file"];
    const path = flags["webhook-path"];
    const webhook =
      url === undefined
        ? undefined
        : { path, config: webhookConfig(await webhookTarget(url, flags["webhook-ca"], tokenFile)) };
    if (tokenFile !== undefined && flags.apply) await checkTokenFile(tokenFile);
    const wanted = apiserverFlags({
      policy: flags["policy-path"],
      log: flags["log-path"],
      ...(webhook === undefined ? {} : { webhook: path }),
    });
    return {
      policyPath: flags["policy-path"],
      policy,
      flags: wanted,
      mounts: mountsFor(wanted, tokenFile),
      ...(webhook === undefined ? {} : { webhook }),
    };
  }

  async #estimate(
    policy: AuditPolicy,
    sample: string,
    output: "table" | "wide" | "json" | "yaml",
  ): Promise<void> {
    const estimator = createEstimator(policy);
    for await (const payloads of streamPayloads(sample, this.screen)) {
      for (const event of singleEvents(payloads)) estimator.add(event);
    }
    const estimate = estimator.end();
    if (estimate.events === 0) {
      throw misused(`${sample} holds no audit event`, "Give a Kubernetes audit log.");
    }
    const { paint } = this.screen;
    this.answerWith(
      output,
      () => ({
        ...estimate,
        recorded: { ...estimate.recorded },
        byRule: estimate.byRule.map((one) => ({ ...one })),
      }),
      (wide) => renderEstimate(policy, estimate, { wide, paint }),
    );
  }

  async #apply(
    setup: Setup,
    replaces: boolean,
    manifest: string,
    output: "table" | "wide" | "json" | "yaml",
  ): Promise<void> {
    const { policyPath, policy } = setup;
    const companions: Companion[] = [
      { path: policyPath, text: policy, refusal: () => (replaces ? undefined : otherPolicy(policyPath)) },
    ];
    if (setup.webhook !== undefined) {
      const { path, config } = setup.webhook;
      companions.push({ path, text: stringify(config), refusal: (there) => otherWebhook(path, there) });
    }
    const applied = await applyToHost(manifest, setup, companions, new Date());
    const { changes, kept, written, backup } = applied;
    this.answerWith(
      output,
      () => ({
        manifest,
        changes: [...changes],
        kept: [...kept],
        written: written.map((one) => ({ path: one.path, backup: one.backup ?? null })),
        backup: backup ?? null,
      }),
      () => renderApplied(applied, manifest),
    );
    if (backup !== undefined) {
      this.talk(
        "The kubelet restarts kube-apiserver now; it answers again within a minute or two.",
        `If it does not: crictl logs of its container says why, and cp ${backup} ${manifest} brings back what was.`,
        "Then the next control-plane host.",
      );
    } else if (written.length > 0) {
      this.talk(
        "kube-apiserver reads its policy when it starts: restart it, for example by moving its manifest away and back.",
      );
    }
  }
}

/** What of the command line decides over the settings. */
interface SetupFlags {
  readonly "policy-path": string;
  readonly "log-path": string;
  readonly "webhook-path": string;
  readonly "webhook-url"?: string | undefined;
  readonly "webhook-ca"?: string | undefined;
  readonly "webhook-token-file"?: string | undefined;
  readonly apply: boolean;
}

function pathFlag(flag: string, summary: string, path: string) {
  return Flags.string({ summary, helpValue: "PATH", env: envOf(flag), default: path });
}
