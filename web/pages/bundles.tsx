import { useQuery } from "@connectrpc/connect-query";
import { BundleService, type Bundle } from "#proto/fleet/v1/bundle";
import { BundleKind } from "#proto/fleet/v1/common";
import { Badge } from "../components/badge.tsx";
import { FilterBox } from "../components/filter-box.tsx";
import { PageHead } from "../components/panel.tsx";
import { Link, useParam } from "../components/router.tsx";
import { Rows, type Column } from "../components/rows.tsx";
import { Select } from "../components/select.tsx";
import { Answered, Empty } from "../components/states.tsx";
import { Ago } from "../components/time.tsx";
import { bundleText } from "../view/fleet.ts";
import { holdsAll, wordsOf } from "../view/find.ts";
import { kindText } from "../view/bundle.ts";
import { countText, digestText } from "../view/quantity.ts";

const kinds: Readonly<Record<string, BundleKind>> = {
  rules: BundleKind.RULES,
  shipper: BundleKind.SHIPPER,
  layer: BundleKind.LAYER,
};

/** What was signed and pushed, and where it runs. */
export function BundlesPage() {
  const [text, setText] = useParam("q");
  const [kind, setKind] = useParam("kind");
  const answer = useQuery(
    BundleService.method.listBundles,
    { kind: kinds[kind] ?? BundleKind.UNSPECIFIED },
    { refetchInterval: 15_000, placeholderData: (before) => before },
  );
  const words = wordsOf(text);
  return (
    <>
      <PageHead title="Bundles" />
      <div className="tools">
        <FilterBox label="Filter bundles" hint="name, version or digest" value={text} onChange={setText} />
        <Select
          label="Kind"
          value={kind}
          options={["", ...Object.keys(kinds)]}
          none="any kind"
          onChange={setKind}
        />
      </div>
      <Answered answer={answer} lines={8}>
        {({ bundles }) => {
          const rows = bundles.filter(({ ref }) => holdsAll([bundleText(ref), ref?.digest], words));
          if (rows.length === 0) return <Empty>No bundle matches.</Empty>;
          return (
            <Rows label="Bundles" rows={rows} columns={columns} keyOf={({ ref }) => ref?.digest ?? ""} />
          );
        }}
      </Answered>
    </>
  );
}

const columns: readonly Column<Bundle>[] = [
  {
    key: "name",
    head: "Bundle",
    width: "minmax(110px, 1.4fr)",
    cell: ({ ref }) => (
      <Link to={`/bundles/${encodeURIComponent(ref?.digest ?? "")}`} className="row-link">
        {bundleText(ref)}
      </Link>
    ),
  },
  {
    key: "kind",
    head: "Kind",
    width: "64px",
    cell: ({ ref }) => <span className="muted">{kindText(ref?.kind)}</span>,
  },
  {
    key: "digest",
    head: "Digest",
    width: "110px",
    isWideOnly: true,
    cell: ({ ref }) => <code className="faint">{digestText(ref?.digest ?? "")}</code>,
  },
  {
    key: "running",
    head: "Proved by",
    width: "88px",
    isNumber: true,
    cell: ({ runningCount, assignedCount }) => (
      <span title={`assigned to ${assignedCount}`}>
        {countText(runningCount)} <span className="faint">of {countText(assignedCount)}</span>
      </span>
    ),
  },
  {
    key: "listed",
    head: "",
    width: "80px",
    isWideOnly: true,
    cell: ({ listed }) => (listed ? undefined : <Badge tone="warn">not listed</Badge>),
  },
  {
    key: "who",
    head: "Pushed by",
    width: "minmax(80px, 1fr)",
    isWideOnly: true,
    cell: ({ pushedBy }) => pushedBy,
  },
  {
    key: "when",
    head: "When",
    width: "90px",
    isNumber: true,
    isWideOnly: true,
    cell: ({ pushedAt }) => <Ago time={pushedAt} />,
  },
];
