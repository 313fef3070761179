import { Flags } from "../../oclif.ts";
import { Requirement_Operator } from "#proto/fleet/v1/common";
import { isName } from "#trust";
import { misused } from "../../failure.ts";
import { asList, countFlag, envOf, listFlag, requiredArg, selectorFrom, textFlag } from "../../flags.ts";
import { keyFlags } from "../../signing.ts";
import { SigningCommand } from "../../signing-command.ts";
import { readPublicKey } from "../../trust/signers.ts";

const levels = ["tribe", "team", "project", "cluster"] as const;

export default class TrustDelegate extends SigningCommand {
  static override summary = "Give a layer to its team: its key is accepted for that layer and nothing else.";
  static override description =
    "Signs the next targets metadata, as bundle sign does, and publishes nothing. It says which clusters the layer is confined to and what it may do there; the team cannot widen that. Said again for the same layer, it takes the place of what was said before. Rules with the tag protected are out of reach of every layer.";
  static override examples = [
    {
      description: "The team payments may add rules of its own and exceptions to those of others.",
      command:
        "<%= config.bin %> <%= command.id %> payments --key layer-payments.pub.pem --level team -l team=payments --prefix payments --tune '*'",
    },
    {
      description: "Two of three keys, and the right to replace one rule.",
      command:
        "<%= config.bin %> <%= command.id %> payments --key ada.pem --key ben.pem --key eve.pem --threshold 2 --level team -l team=payments --tune '*' --replace 'Secret read'",
    },
  ];
  static override args = { layer: requiredArg("Name of the layer, and of its releases.") };
  static override flags = {
    ...keyFlags,
    key: listFlag(
      "key",
      "Public key of the team, in PEM, or a key file or reference of a trust folder. May be given several times.",
      "FILE",
    ),
    threshold: countFlag("threshold", "How many of the keys have to sign; 1 if not given.", 1, 16),
    level: Flags.option({
      summary: "Place of the layer in the order in which layers apply.",
      options: levels,
      env: envOf("level"),
    })(),
    selector: Flags.string({
      char: "l",
      summary: "Labels that a cluster has to have: key=value, all of them.",
      helpValue: "LABEL=VALUE",
      env: envOf("selector"),
      multiple: true,
      multipleNonGreedy: true,
    }),
    prefix: textFlag(
      "prefix",
      "What the names of the layer's own rules, macros and lists begin with; without it there are none.",
      "TEXT",
    ),
    tune: listFlag(
      "tune",
      "A rule, macro or list of others that the layer may add to, and whose words and priority it may change; * for all. May be given several times.",
      "NAME",
    ),
    replace: listFlag(
      "replace",
      "One that it may also disable, or give another condition, other exceptions or items; * for all. May be given several times.",
      "NAME",
    ),
    out: textFlag("out", "File to write; targets.json if not given.", "FILE"),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(TrustDelegate);
    const { layer } = args;
    const isFit: boolean = isName(layer);
    if (!isFit) {
      throw misused(
        `"${layer.slice(0, 80)}" is no name for a layer`,
        "Use small letters, digits and - only, at most 63.",
      );
    }
    const files = asList(flags.key);
    if (files.length === 0) {
      throw misused(
        `Whose is the layer ${layer}? --key is missing`,
        `fleetctl trust new-signer layer-${layer}   makes a key, and layer-${layer}.pub.pem to name here`,
      );
    }
    if (flags.level === undefined) {
      throw misused("--level is missing", ...levels.map((level) => `--level ${level}`));
    }
    const grant = {
      layer,
      keys: files.map(readPublicKey),
      threshold: flags.threshold ?? 1,
      level: flags.level,
      selector: labelsFrom(flags.selector),
      tune: [...asList(flags.tune)],
      replace: [...asList(flags.replace)],
      ...(flags.prefix === undefined ? {} : { prefix: flags.prefix }),
    };
    const signed = await this.sign({ bundles: [], delegate: [grant] }, flags);
    await this.tell(signed, flags.out ?? "targets.json", flags.output);
  }
}

/** The labels that a selector demands. A delegation knows labels with one value each and nothing else. */
function labelsFrom(texts: readonly string[] | undefined): Readonly<Record<string, string>> {
  const next = "-l team=payments, or -l team=payments,environment=prod";
  const { requirements } = selectorFrom({ selector: texts });
  if (requirements.length === 0) {
    throw misused("To which clusters is the layer confined? -l is missing", next);
  }
  const labels = new Map<string, string>();
  for (const { key, operator, values } of requirements) {
    const [value] = values;
    if (operator !== Requirement_Operator.IN || values.length !== 1 || value === undefined) {
      throw misused(`A layer is confined by labels with one value each, and ${key} is asked otherwise`, next);
    }
    if (labels.has(key)) throw misused(`The label ${key} is named twice`, next);
    labels.set(key, value);
  }
  return Object.fromEntries(labels);
}
