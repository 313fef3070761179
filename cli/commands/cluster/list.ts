import { create } from "@bufbuild/protobuf";
import { Flags } from "../../oclif.ts";
import {
  type Cluster,
  ClusterOrder,
  ClusterService,
  ListClustersResponseSchema,
} from "#proto/fleet/v1/cluster";
import { FleetCommand } from "../../fleet-command.ts";
import { envOf, selectorFlags, selectorFrom } from "../../flags.ts";
import { clusterColumns } from "../../cluster-view.ts";
import { renderTable } from "../../output/table.ts";
import { pages } from "../../pages.ts";
import { renderSelector } from "../../selector.ts";

const orders = {
  name: ClusterOrder.UNSPECIFIED,
  newest: ClusterOrder.NEWEST,
  unheard: ClusterOrder.UNHEARD,
} as const;

export default class ClusterList extends FleetCommand {
  static override summary = "List clusters and what each of them proves that it runs.";
  static override description =
    "RULES and SHIPPER show what every agent of the cluster proves; an arrow shows what it is assigned while that differs.";
  static override examples = [
    { description: "All clusters of a region.", command: "<%= config.bin %> <%= command.id %> --region eu" },
    {
      description: "Names of the production clusters that team payments does not own.",
      command:
        "<%= config.bin %> <%= command.id %> -l 'environment=prod,team!=payments' -o json | jq -r '.clusters[].name'",
    },
    {
      description: "Who has been silent longest.",
      command: "<%= config.bin %> <%= command.id %> --sort unheard",
    },
  ];
  static override flags = {
    ...selectorFlags,
    sort: Flags.option({
      options: ["name", "newest", "unheard"] as const,
      default: "name" as const,
      summary: "Sort by name, the newest first, or those first that were not heard of for the longest time.",
      env: envOf("sort"),
    })(),
    retired: Flags.boolean({ summary: "Show retired clusters too.", env: envOf("retired") }),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(ClusterList);
    const selector = selectorFrom(flags);
    const service = await this.client(ClusterService, flags);
    const order = orders[flags.sort];
    // A cluster that is heard of in the meantime may come again: then it stays where it was.
    const byId = new Map<string, Cluster>();
    const get = (pageToken: string) =>
      service.listClusters({ selector, pageToken, pageSize: 500, includeRetired: flags.retired, order });
    for await (const page of pages(get)) for (const each of page.clusters) byId.set(each.id, each);
    const clusters = [...byId.values()];
    const all = create(ListClustersResponseSchema, { clusters, totalSize: clusters.length });
    const { paint } = this.screen;
    this.answer(flags.output, ListClustersResponseSchema, all, (wide) =>
      clusters.length === 0 ? [] : renderTable(clusters, clusterColumns(this.screen.now()), { wide, paint }),
    );
    if (clusters.length > 0) return;
    if (selector.requirements.length > 0) this.talk(`No cluster matches ${renderSelector(selector)}.`);
    else this.talk("No cluster has enrolled yet. To let one in: fleetctl token create --region eu");
  }
}
