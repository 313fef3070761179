import { useDeferredValue, useMemo } from "react";
import { ClusterHealth, type Cluster } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import { useFleet, type Fleet } from "../api/fleet.ts";
import { State } from "../components/badge.tsx";
import { FilterBox } from "../components/filter-box.tsx";
import { PageHead } from "../components/panel.tsx";
import { Link, useParam } from "../components/router.tsx";
import { Rows, type Column } from "../components/rows.tsx";
import { Select } from "../components/select.tsx";
import { Answered, Empty } from "../components/states.tsx";
import { Ago } from "../components/time.tsx";
import { bundleText, eventsPerSecond, runningOf, sortClusters, type ClusterSort } from "../view/fleet.ts";
import { countText, lagText, rateText } from "../view/quantity.ts";
import { parseFilter, type Filter } from "../view/selector.ts";
import { healthWord } from "../view/words.ts";

const sorts: readonly ClusterSort[] = ["name", "health", "events", "lag", "seen"];
const healths = ["silent", "degraded", "updating", "healthy"] as const;

/** Every cluster: found by name or labels, sorted by what is looked for. */
export function ClustersPage() {
  const [text, setText] = useParam("q");
  const [health, setHealth] = useParam("health");
  const filter = useMemo(() => parseFilter(text), [text]);
  const fleet = useFleet(useDeferredValue(filter));
  return (
    <>
      <PageHead title="Clusters" aside={<Count fleet={fleet.data} />} />
      <div className="tools">
        <FilterBox
          label="Filter clusters"
          hint="name, or region=eu,team in (a,b)"
          value={text}
          onChange={setText}
          problem={filter.problem}
        />
        <Select
          label="Health"
          value={health}
          options={["", ...healths]}
          none="any health"
          onChange={setHealth}
        />
      </div>
      <Answered answer={fleet} lines={14}>
        {(data) => <Clusters fleet={data} filter={filter} health={health} />}
      </Answered>
    </>
  );
}

function Count({ fleet }: { readonly fleet: Fleet | undefined }) {
  if (fleet === undefined) return undefined;
  const { clusters, total, isWhole } = fleet;
  return (
    <span className="faint number" role="status">
      {isWhole ? countText(total) : `${countText(clusters.length)} of ${countText(total)} read`}
    </span>
  );
}

function Clusters({
  fleet,
  filter,
  health,
}: {
  readonly fleet: Fleet;
  readonly filter: Filter;
  readonly health: string;
}) {
  const [sort, setSort] = useParam("sort", "name");
  const [order, setOrder] = useParam("order", "down");
  const by = sorts.find((each) => each === sort) ?? "name";
  const isReversed = order === "up";
  const rows = useMemo(() => {
    const wanted = Object.entries(ClusterHealth).find(([name]) => name.toLowerCase() === health)?.[1];
    const those = fleet.clusters.filter(
      (cluster) =>
        (wanted === undefined || cluster.health === wanted) &&
        filter.words.every((word) => cluster.name.toLowerCase().includes(word)),
    );
    return sortClusters(those, by, isReversed);
  }, [fleet, filter, health, by, isReversed]);
  if (rows.length === 0) return <Empty>No cluster matches.</Empty>;
  const choose = (key: string) => {
    if (key === by) setOrder(isReversed ? "down" : "up");
    else {
      setSort(key);
      setOrder("down");
    }
  };
  return (
    <Rows
      label="Clusters"
      rows={rows}
      columns={columns}
      keyOf={keyOf}
      sorting={{ by, isReversed, choose, keys: sorts }}
    />
  );
}

const keyOf = ({ id }: Cluster): string => id;

const columns: readonly Column<Cluster>[] = [
  {
    key: "name",
    head: "Name",
    width: "minmax(84px, 1.4fr)",
    cell: ({ name }) => (
      <Link to={`/clusters/${name}`} className="row-link">
        {name}
      </Link>
    ),
  },
  {
    key: "health",
    head: "Health",
    width: "100px",
    isWhole: true,
    cell: ({ health, healthReason }) => (
      <span title={healthReason}>
        <State word={healthWord(health)} />
      </span>
    ),
  },
  { key: "region", head: "Region", width: "90px", isWideOnly: true, cell: ({ labels }) => labels["region"] },
  {
    key: "labels",
    head: "Labels",
    width: "minmax(120px, 1.6fr)",
    isWideOnly: true,
    isWhole: true,
    cell: ({ labels }) => <Labels labels={labels} />,
  },
  {
    key: "rules",
    head: "Rules",
    width: "minmax(110px, 1fr)",
    isWideOnly: true,
    isWhole: true,
    cell: (cluster) => <Proved cluster={cluster} />,
  },
  {
    key: "events",
    head: "Events",
    width: "72px",
    isNumber: true,
    cell: ({ rates }) => (rates === undefined ? "–" : rateText(eventsPerSecond(rates))),
  },
  {
    key: "lag",
    head: "Lag",
    width: "80px",
    isNumber: true,
    isWideOnly: true,
    cell: ({ rates }) => (rates === undefined ? "–" : lagText(rates.lagMs)),
  },
  {
    key: "seen",
    head: "Heard of",
    width: "96px",
    isNumber: true,
    isWideOnly: true,
    cell: ({ lastSeenAt }) => <Ago time={lastSeenAt} />,
  },
];

function Labels({ labels }: { readonly labels: Cluster["labels"] }) {
  const shown = Object.entries(labels).filter(([key]) => key !== "region" && key !== "cluster");
  const text = shown.map(([key, value]) => `${key}=${value}`).join(" ");
  return (
    <span className="muted cut" title={text}>
      {text}
    </span>
  );
}

/** What is proved, or that what is assigned is not. */
function Proved({ cluster }: { readonly cluster: Cluster }) {
  const running = runningOf(cluster, BundleKind.RULES);
  const wanted = cluster.assignment?.rules;
  const isOther = wanted !== undefined && wanted.digest !== running?.digest;
  const text = bundleText(running) || "nothing proved";
  return (
    <span
      className={isOther ? "cut tone-warn toned" : "cut"}
      title={isOther ? `assigned ${bundleText(wanted)}` : text}
    >
      {text}
      {isOther ? ` → ${bundleText(wanted)}` : ""}
    </span>
  );
}
