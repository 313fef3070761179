import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { coverageSheet, redactClusters, type ReportedCluster } from "#report";
import { AlertService } from "#proto/fleet/v1/alert";
import { type Cluster, ClusterService } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import { listFlag, selectorFlags, selectorFrom } from "../../flags.ts";
import { pages } from "../../pages.ts";
import { redactionsFrom, SheetCommand, weekMs, writingFlags } from "../../report/report-command.ts";
import { renderSelector } from "../../selector.ts";
import { healthOf, nameOf, runningOf } from "../../views.ts";

/** The server tells so many clusters apart when it counts alerts; those with the most come first. */
const countedMax = 1_000;

export default class ReportCoverage extends SheetCommand {
  static override summary = "Report which clusters are watched, by what, and which are not.";
  static override description =
    "Clusters as they are now: those that are not healthy or prove no rules first, with the bundles that they prove, when they were last heard of, and their alerts of the last seven days.";
  static override examples = [
    { description: "In the terminal.", command: "<%= config.bin %> <%= command.id %> --week" },
    {
      description: "Of production, to be mailed.",
      command: "<%= config.bin %> <%= command.id %> --environment prod --format html > coverage.html",
    },
  ];
  static override flags = {
    ...writingFlags,
    ...selectorFlags,
    redact: listFlag("redact", "Replace these by other names: cluster.", "WHAT"),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(ReportCoverage);
    this.checkWriting(flags);
    const selector = selectorFrom(flags);
    const untilMs = this.screen.now();
    const hidden = redactionsFrom(flags.redact, "coverage");
    const asked = hidden.has("cluster") ? "" : renderSelector(selector);
    const period = { fromMs: untilMs - weekMs, untilMs, clusters: asked };
    const service = await this.client(ClusterService, flags);
    const byId = new Map<string, Cluster>();
    const get = (pageToken: string) => service.listClusters({ selector, pageToken, pageSize: 500 });
    for await (const page of pages(get)) for (const each of page.clusters) byId.set(each.id, each);
    const filter = { selector, since: timestampFromMs(period.fromMs) };
    const alertService = await this.client(AlertService, flags);
    const { counts } = await alertService.getAlertStats({ by: "cluster", filter });
    const { notStored } = await alertService.listAlerts({ filter, pageSize: 1, countNotStored: true });
    const alerts = new Map(counts.map(({ value, count }) => [value, Number(count)]));
    const isComplete = counts.length < countedMax;
    const clusters = [...byId.values()].map((cluster) => {
      const count = alerts.get(cluster.name) ?? (isComplete ? 0 : undefined);
      return { ...toReported(cluster), ...(count === undefined ? {} : { alerts: count }) };
    });
    this.write(flags, coverageSheet(redactClusters(clusters, hidden), period, Number(notStored)));
    if (clusters.length === 0) await this.talkOfNoCluster(selector, flags);
  }
}

function toReported(cluster: Cluster): ReportedCluster {
  const { labels, lastSeenAt } = cluster;
  const bundle = (kind: BundleKind): string => {
    const running = runningOf(cluster.running, kind);
    return running === undefined ? "" : nameOf(running.bundle);
  };
  return {
    name: cluster.name,
    region: labels["region"] ?? "",
    environment: labels["environment"] ?? "",
    team: labels["team"] ?? "",
    health: healthOf(cluster.health),
    agents: cluster.agentCount,
    rules: bundle(BundleKind.RULES),
    shipper: bundle(BundleKind.SHIPPER),
    ...(lastSeenAt === undefined ? {} : { heardMs: timestampMs(lastSeenAt) }),
  };
}
