import { useInfiniteQuery } from "@connectrpc/connect-query";
import { RolloutService, type Rollout } from "#proto/fleet/v1/rollout";
import { byPage, readOn } from "../api/paging.ts";
import { Bar, State } from "../components/badge.tsx";
import { PageHead } from "../components/panel.tsx";
import { Link, useParam } from "../components/router.tsx";
import { Rows, type Column } from "../components/rows.tsx";
import { Select } from "../components/select.tsx";
import { Answered, Empty } from "../components/states.tsx";
import { Ago } from "../components/time.tsx";
import { bundleText } from "../view/fleet.ts";
import { progressParts } from "../view/parts.ts";
import { nounText } from "../view/quantity.ts";
import { selectorText } from "../view/selector.ts";
import { rolloutWord } from "../view/words.ts";

/** What is being rolled out, and what was. */
export function RolloutsPage() {
  const [which, setWhich] = useParam("which");
  const answer = useInfiniteQuery(
    RolloutService.method.listRollouts,
    { pageSize: 50, unfinished: which === "unfinished", pageToken: "" },
    {
      ...byPage,
      refetchInterval: 5_000,
    },
  );
  return (
    <>
      <PageHead
        title="Rollouts"
        aside={
          <Select label="Which" value={which} options={["", "unfinished"]} none="all" onChange={setWhich} />
        }
      />
      <Answered answer={answer} lines={10}>
        {({ pages }) => {
          const rows = pages.flatMap(({ rollouts }) => rollouts);
          if (rows.length === 0) {
            return (
              <Empty>
                {which === "" ? "Nothing was rolled out yet" : "Nothing is under way"}. To begin:{" "}
                <code>fleetctl rollout rules --region eu</code>.
              </Empty>
            );
          }
          return (
            <Rows
              label="Rollouts"
              rows={rows}
              columns={columns}
              keyOf={({ id }) => id}
              height={44}
              onNearEnd={readOn(answer)}
            />
          );
        }}
      </Answered>
    </>
  );
}

const columns: readonly Column<Rollout>[] = [
  {
    key: "bundle",
    head: "Bundle",
    width: "minmax(104px, 1.2fr)",
    cell: ({ id, bundle }) => (
      <Link to={`/rollouts/${id}`} className="row-link">
        {bundleText(bundle)}
      </Link>
    ),
  },
  {
    key: "state",
    head: "State",
    width: "minmax(112px, 150px)",
    cell: ({ state, because }) => (
      <span title={because}>
        <State word={rolloutWord(state)} />
      </span>
    ),
  },
  {
    key: "progress",
    head: "Clusters",
    width: "minmax(64px, 1.4fr)",
    cell: ({ waves }) => <Bar parts={progressParts(waves)} label="Clusters" />,
  },
  {
    key: "count",
    head: "",
    width: "110px",
    isWideOnly: true,
    cell: ({ waves }) => (
      <span className="muted number">
        {nounText(waves.flatMap(({ clusters }) => clusters).length, "cluster")}
      </span>
    ),
  },
  {
    key: "where",
    head: "Where",
    width: "minmax(80px, 1fr)",
    isWideOnly: true,
    cell: ({ spec, partial }) => (
      <span className="muted">
        {partial ? "part of it" : selectorText(spec?.selector) || "the whole fleet"}
      </span>
    ),
  },
  {
    key: "who",
    head: "Started by",
    width: "minmax(80px, 1fr)",
    isWideOnly: true,
    cell: ({ createdBy }) => createdBy,
  },
  {
    key: "when",
    head: "When",
    width: "90px",
    isNumber: true,
    isWideOnly: true,
    cell: ({ createdAt }) => <Ago time={createdAt} />,
  },
];
