import { AuditService } from "#proto/fleet/v1/audit";
import { metadataBytesMax } from "#trust";
import { readExport } from "../../audit/export-file.ts";
import { verifyExport } from "../../audit/verify-export.ts";
import { answered, exitCodes } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { textFlag } from "../../flags.ts";
import { readFileBounded } from "../../load-bundle.ts";
import { auditVerdict } from "../../output/audit.ts";

export default class AuditVerify extends FleetCommand {
  static override summary = "Recompute the audit log's chain and compare it with what was signed over it.";
  static override description =
    "Reads every row and believes none: hashes are computed here, heads are checked against the trust roots, and the heads that agents carry count as witnesses. Ends with 1 and names the first row that is not what it was. Changes nothing.";
  static override examples = [
    {
      description: "The log of the server, with the root that was signed on this machine.",
      command: "<%= config.bin %> <%= command.id %> --root ./trust/root.json",
    },
    {
      description: "A copy, without a server.",
      command: "<%= config.bin %> <%= command.id %> --file audit.jsonl",
    },
  ];
  static override flags = {
    file: textFlag("file", "Verify this export in place of the server's log; needs no server.", "FILE"),
    root: textFlag(
      "root",
      "Root metadata that you hold, for example root.json of the trust folder; the roots of the log have to include it.",
      "FILE",
    ),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(AuditVerify);
    const anchor = flags.root === undefined ? undefined : await readFileBounded(flags.root, metadataBytesMax);
    const parts =
      flags.file === undefined
        ? (await this.client(AuditService, flags)).exportAudit({})
        : readExport(flags.file);
    const verified = await verifyExport(parts, anchor);
    const { problems, notes, rows, signedThrough } = verified;
    this.answerWith(
      flags.output,
      () => ({
        ok: problems.length === 0,
        org: verified.org,
        rows,
        signedThrough,
        heads: verified.heads,
        carried: verified.carried,
        rootPin: verified.rootPin,
        problems: problems.map((problem) => ({ ...problem })),
        notes: [...notes],
      }),
      () => auditVerdict(verified),
    );
    if (anchor === undefined && verified.rootPin !== "") {
      this.talk(
        `The trust root ${verified.rootPin} was taken as it came. To hold the log to yours: --root ./trust/root.json`,
      );
    }
    if (problems.length > 0) throw answered(exitCodes.refused);
  }
}
