import { useInfiniteQuery, useQuery } from "@connectrpc/connect-query";
import { useCallback, useDeferredValue, useMemo, useRef, useState } from "react";
import { AlertService, type Alert, type ListAlertsResponse } from "#proto/fleet/v1/alert";
import type { Identity } from "#proto/fleet/v1/auth";
import { byPage, readOnUnlessSparse, unlessReadBack } from "../api/paging.ts";
import { Badge } from "../components/badge.tsx";
import { FilterBox } from "../components/filter-box.tsx";
import {
  isLookedAt,
  keepFirstPage,
  News,
  useHeld,
  useNewest,
  useReadBack,
  type PageOf,
} from "../components/held.tsx";
import { NamedAlert } from "../components/one-alert.tsx";
import { PageHead, Panel } from "../components/panel.tsx";
import { Link, useParam } from "../components/router.tsx";
import { Rows, type Column } from "../components/rows.tsx";
import { Searched } from "../components/searched.tsx";
import { Select } from "../components/select.tsx";
import { Answered, Empty } from "../components/states.tsx";
import { alertTabs, Tabs } from "../components/tabs.tsx";
import { Ago, useMinute } from "../components/time.tsx";
import { alertParam, alertWindows, type AlertWindow } from "../view/alert-link.ts";
import { holdsAll } from "../view/find.ts";
import type { Order } from "../view/held.ts";
import { parseWish } from "../view/match.ts";
import { countText } from "../view/quantity.ts";
import { msOf } from "../view/time.ts";
import { priorities, priorityTone } from "../view/words.ts";

/** What the rules caught, the newest first, and which rules catch most. */
export function AlertsPage({ identity }: { readonly identity: Identity }) {
  const [text, setText] = useParam("q");
  const [priority, setPriority] = useParam("priority");
  const [window, setWindow] = useParam("since", "24h");
  const [rule, setRule] = useParam("rule");
  const filter = useDeferredValue(useMemo(() => parseWish(text), [text]));
  const seconds = alertWindows[window as AlertWindow] ?? alertWindows["24h"];
  // A minute exact, so that the question does not change with every second.
  const since = BigInt(useMinute() * 60 - seconds);
  const wanted = {
    matchers: filter.matchers,
    minPriority: priority,
    since: { seconds: since, nanos: 0 },
  };
  return (
    <>
      <PageHead title="Alerts" aside={<Tabs label="Alerts" tabs={alertTabs(identity)} />} />
      <div className="tools">
        <FilterBox
          label="Filter alerts"
          hint="words, or region=eu, ka.user.name=~…"
          value={text}
          onChange={setText}
          problem={filter.problem}
        />
        <Select
          label="Least severe"
          value={priority}
          options={["", ...priorities]}
          none="any priority"
          onChange={setPriority}
        />
        <Select
          label="Since"
          value={window}
          options={Object.keys(alertWindows)}
          none="24h"
          onChange={setWindow}
        />
      </div>
      <div className="columns narrow-right">
        <List key={seconds} wanted={{ ...wanted, rules: rule === "" ? [] : [rule] }} words={filter.words} />
        <Noise wanted={wanted} rule={rule} onRule={setRule} />
      </div>
    </>
  );
}

interface Wanted {
  readonly matchers: string;
  readonly minPriority: string;
  readonly since: { readonly seconds: bigint; readonly nanos: number };
  readonly rules?: string[];
}

const pageSize = 200;
const pageOf: PageOf<ListAlertsResponse, Alert> = {
  rowsOf: ({ alerts }) => alerts,
  backTo: ({ lookedBackTo }) => lookedBackTo,
  lookedAt: ({ lookedAt }) => lookedAt,
};
const order: Order<Alert> = {
  keyOf: ({ clusterId, id }) => `${clusterId} ${id}`,
  msOf: ({ time }) => msOf(time) ?? 0,
};

function isFound({ rule, output, clusterName }: Alert, words: readonly string[]): boolean {
  return holdsAll([rule, output, clusterName], words);
}

/** The alerts as they are held for who looks at them. */
function useAlerts(wanted: Wanted) {
  // The list keeps the beginning that it had first: with another one it would be another list, and whoever reads back would be at its start again.
  const [since] = useState(wanted.since);
  const filter = { ...wanted, since };
  const answer = useInfiniteQuery(
    AlertService.method.listAlerts,
    { filter, pageSize, pageToken: "" },
    { ...byPage, refetchInterval: unlessReadBack(5_000), placeholderData: (before) => before },
  );
  const { data, isPlaceholderData } = answer;
  const isReadBack = (data?.pages.length ?? 0) > 1;
  const newest = useQuery(
    AlertService.method.listAlerts,
    { filter, pageSize },
    { enabled: isReadBack, refetchInterval: 5_000 },
  );
  const newer = useNewest(isReadBack ? data?.pages[0] : undefined, newest, pageOf, order);
  const read = useReadBack(data, pageOf);
  const place = useRef<HTMLDivElement>(null);
  const held = useHeld({
    key: `${isPlaceholderData} ${wanted.matchers} ${wanted.minPriority} ${wanted.rules?.join(" ")}`,
    read,
    newest: newer,
    order,
    isHeld: () => isLookedAt(place.current),
    turn: 0,
    restart: useCallback(() => keepFirstPage(data), [data]),
  });
  return { answer, all: read.rows, held, place };
}

function List({ wanted, words }: { readonly wanted: Wanted; readonly words: readonly string[] }) {
  const [named, setNamed] = useParam("alert");
  const { answer, all, held, place } = useAlerts(wanted);
  const columns = useMemo(
    () => columnsOf(({ id, time, clusterId }) => setNamed(alertParam(id, time, clusterId))),
    [setNamed],
  );
  const reading = { ...pageOf, words, isFound: (alert: Alert) => isFound(alert, words) };
  const rows = held.rows.filter(reading.isFound);
  const searched = <Searched rows="alerts" pages={answer} reading={reading} />;
  return (
    <div className={answer.isPending ? "awaited" : undefined}>
      <div ref={place}>
        <Answered answer={answer} lines={12}>
          {() => {
            if (rows.length === 0 && !answer.hasNextPage) return <Empty>No alert matches.</Empty>;
            return (
              <>
                {rows.length === 0 ? undefined : (
                  <Rows
                    label="Alerts"
                    rows={rows}
                    columns={columns}
                    keyOf={order.keyOf}
                    height={50}
                    {...readOnUnlessSparse(answer, reading)}
                  />
                )}
                {searched}
              </>
            );
          }}
        </Answered>
      </div>
      <News count={held.waiting.filter(reading.isFound).length} takeIn={held.takeIn} />
      {named === "" ? undefined : <NamedAlert text={named} read={all} onClose={() => setNamed("")} />}
    </div>
  );
}

const columnsOf = (open: (alert: Alert) => void): readonly Column<Alert>[] => [
  {
    key: "priority",
    head: "Priority",
    width: "92px",
    isWideOnly: true,
    cell: ({ priority }) => <Badge tone={priorityTone(priority)}>{priority}</Badge>,
  },
  {
    key: "what",
    head: "What",
    width: "minmax(140px, 1fr)",
    cell: (alert) => (
      <button type="button" className="alert-open" onClick={() => open(alert)}>
        <span className={`cut alert-rule tone-${priorityTone(alert.priority)}`}>{alert.rule}</span>
        <span className="cut muted">
          <span className="narrow-only">
            {alert.priority}, <Ago time={alert.time} />:{" "}
          </span>
          {alert.output}
        </span>
      </button>
    ),
  },
  {
    key: "cluster",
    head: "Cluster",
    width: "90px",
    cell: ({ clusterName }) => (
      <Link to={`/clusters/${clusterName}`} className="cut">
        {clusterName}
      </Link>
    ),
  },
  {
    key: "when",
    head: "When",
    width: "84px",
    isNumber: true,
    isWideOnly: true,
    cell: ({ time }) => <Ago time={time} />,
  },
];

const rulesShown = 20;

/** Which rules make the alerts: the noise is what one tunes. */
function Noise({
  wanted,
  rule,
  onRule,
}: {
  readonly wanted: Wanted;
  readonly rule: string;
  readonly onRule: (rule: string) => void;
}) {
  const answer = useQuery(
    AlertService.method.getAlertStats,
    { filter: wanted, by: "rule" },
    { refetchInterval: 15_000, placeholderData: (before) => before },
  );
  return (
    <Panel
      title="By rule"
      isFlush
      aside={
        rule === "" ? (
          <span className="faint number">{countText(answer.data?.total ?? 0n)} alerts</span>
        ) : (
          <button type="button" className="button small" onClick={() => onRule("")}>
            All rules
          </button>
        )
      }
    >
      <Answered answer={answer} lines={5}>
        {({ counts }) => {
          const sorted = counts.toSorted((a, b) => Number(b.count - a.count)).slice(0, rulesShown);
          const most = Math.max(1, Number(sorted[0]?.count ?? 0n));
          return (
            <ul className="lines">
              {sorted.map(({ value, count }) => (
                <li key={value} className="noise">
                  <button
                    type="button"
                    className="alert-open"
                    aria-pressed={value === rule}
                    onClick={() => onRule(value)}
                  >
                    <span className="noise-name">{value}</span>
                    <span className="number">{countText(count)}</span>
                    <span
                      className="noise-bar"
                      aria-hidden="true"
                      style={{ width: `${(Number(count) / most) * 100}%` }}
                    />
                  </button>
                </li>
              ))}
            </ul>
          );
        }}
      </Answered>
    </Panel>
  );
}
