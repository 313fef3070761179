import { useQuery } from "@connectrpc/connect-query";
import { useMemo, useState } from "react";
import { AlertService } from "#proto/fleet/v1/alert";
import { BundleService, type Bundle } from "#proto/fleet/v1/bundle";
import { BundleKind } from "#proto/fleet/v1/common";
import { Badge } from "../components/badge.tsx";
import { BundleEffect } from "../components/bundle-effect.tsx";
import { FilterBox } from "../components/filter-box.tsx";
import { PageHead, Panel } from "../components/panel.tsx";
import { OneRule } from "../components/one-rule.tsx";
import { Link, useParam } from "../components/router.tsx";
import { Rows, type Column } from "../components/rows.tsx";
import { RulesChanges } from "../components/rules-changes.tsx";
import { Select } from "../components/select.tsx";
import { NewestShadow } from "../components/shadow-panel.tsx";
import { Sparkline } from "../components/sparkline.tsx";
import { Answered, Empty } from "../components/states.tsx";
import { Ago, useMinute } from "../components/time.tsx";
import { filesOf } from "../view/bundle.ts";
import { bundleText } from "../view/fleet.ts";
import { holdsAll, wordsOf } from "../view/find.ts";
import { countText, nounText } from "../view/quantity.ts";
import { rowsWith, rulesOf, sortRules, techniquesOf, type RuleRow, type RuleSort } from "../view/rules.ts";
import { priorityTone } from "../view/words.ts";

/** Whole hours, which the server has counted already, in at most 28 parts. */
const windows = { "24h": { hours: 24, every: 1 }, "7d": { hours: 168, every: 6 } } as const;

/** The rules of a bundle: what each looks for, how much noise it makes, and what another version would change. */
export function RulesPage() {
  const [wanted, setWanted] = useParam("bundle");
  const all = useQuery(
    BundleService.method.listBundles,
    { kind: BundleKind.RULES },
    { refetchInterval: 30_000 },
  );
  return (
    <>
      <PageHead title="Rules" />
      <Answered answer={all} lines={12}>
        {({ bundles }) => {
          const bundle = bundles.find(({ ref }) => bundleText(ref) === wanted) ?? mostRun(bundles);
          if (bundle === undefined) {
            return (
              <Empty>
                No rules were pushed yet. To sign and push some: <code>fleetctl bundle push</code>.
              </Empty>
            );
          }
          return (
            <OneBundle
              key={bundle.ref?.digest}
              bundle={bundle}
              names={bundles.map(({ ref }) => bundleText(ref))}
              onBundle={setWanted}
            />
          );
        }}
      </Answered>
    </>
  );
}

/** What most of the fleet proves; of equal ones the newest. */
function mostRun(bundles: readonly Bundle[]): Bundle | undefined {
  return bundles.toSorted((a, b) => b.runningCount - a.runningCount)[0];
}

interface OneBundleProps {
  readonly bundle: Bundle;
  readonly names: readonly string[];
  readonly onBundle: (name: string) => void;
}

function OneBundle({ bundle, names, onBundle }: OneBundleProps) {
  const [text, setText] = useParam("q");
  const [window, setWindow] = useParam("since", "24h");
  const [sort, setSort] = useParam("sort", "noise");
  const name = bundleText(bundle.ref);
  const answer = useQuery(
    BundleService.method.getBundle,
    { bundle: bundle.ref?.digest ?? "" },
    { staleTime: 300_000 },
  );
  const said = useMemo(
    () => (answer.data === undefined ? undefined : rulesOf(filesOf(answer.data.content))),
    [answer.data],
  );
  const counts = useCounts(window);
  const rows = useMemo(() => rowsWith(said?.rules ?? [], counts), [said, counts]);
  return (
    <>
      <div className="tools">
        <FilterBox label="Filter rules" hint="name, words of it, or a tag" value={text} onChange={setText} />
        <Select label="Bundle" value={name} options={names} none="" onChange={onBundle} />
        <Select
          label="Alerts since"
          value={window}
          options={Object.keys(windows)}
          none="24h"
          onChange={setWindow}
        />
      </div>
      <Answered answer={{ ...answer, data: said }} lines={12}>
        {(now) => (
          <div className="columns narrow-right">
            <div>
              {now.problems.map((problem) => (
                <p key={problem} className="reason tone-warn">
                  {problem}
                </p>
              ))}
              <List rows={rows} words={wordsOf(text)} since={window} sort={sort} onSort={setSort} />
            </div>
            <div className="stack">
              <Coverage rows={rows} onTag={setText} />
              <RulesChanges bundle={bundle} after={now} />
              <BundleEffect bundle={bundle} />
              <NewestShadow />
            </div>
          </div>
        )}
      </Answered>
    </>
  );
}

function useCounts(window: string) {
  const { hours, every } = windows[window as keyof typeof windows] ?? windows["24h"];
  const since = BigInt(Math.floor(useMinute() / 60) * 3_600 - (hours - 1) * 3_600);
  const { data } = useQuery(
    AlertService.method.getAlertStats,
    {
      by: "rule",
      filter: { since: { seconds: since, nanos: 0 } },
      every: { seconds: BigInt(every * 3_600), nanos: 0 },
    },
    { refetchInterval: 30_000, placeholderData: (before) => before },
  );
  return data?.counts;
}

const sorts: readonly RuleSort[] = ["noise", "name", "priority"];

interface ListProps {
  readonly rows: readonly RuleRow[];
  readonly words: readonly string[];
  readonly since: string;
  readonly sort: string;
  readonly onSort: (sort: string) => void;
}

function List({ rows, words, since, sort, onSort }: ListProps) {
  const [open, setOpen] = useState<RuleRow>();
  const by = sorts.find((each) => each === sort) ?? "noise";
  const shown = useMemo(
    () =>
      sortRules(rows, by).filter(({ name, rule }) =>
        holdsAll([name, rule?.desc, rule?.priority, ...(rule?.tags ?? [])], words),
      ),
    [rows, by, words],
  );
  const columns = useMemo(() => columnsOf(setOpen), []);
  if (shown.length === 0) return <Empty>No rule matches.</Empty>;
  return (
    <>
      <Rows
        label="Rules"
        rows={shown}
        columns={columns}
        keyOf={({ name }) => name}
        height={50}
        sorting={{ by, isReversed: false, choose: onSort, keys: sorts }}
      />
      {open === undefined ? undefined : (
        <OneRule row={open} since={since} onClose={() => setOpen(undefined)} />
      )}
    </>
  );
}

const columnsOf = (open: (row: RuleRow) => void): readonly Column<RuleRow>[] => [
  {
    key: "priority",
    head: "Priority",
    width: "92px",
    isWideOnly: true,
    cell: ({ rule }) =>
      rule === undefined || rule.priority === "" ? undefined : (
        <Badge tone={priorityTone(rule.priority)}>{rule.priority}</Badge>
      ),
  },
  {
    key: "name",
    head: "Rule",
    width: "minmax(140px, 1fr)",
    cell: (row) => (
      <button type="button" className="alert-open" onClick={() => open(row)}>
        <span className="cut alert-rule">{row.name}</span>
        <span className="cut muted">
          {row.rule === undefined
            ? "not in this bundle"
            : `${row.rule.isEnabled ? "" : "disabled · "}${row.rule.desc}`}
        </span>
      </button>
    ),
  },
  {
    key: "hours",
    head: "By time",
    width: "90px",
    isWideOnly: true,
    cell: ({ buckets }) => (buckets.length === 0 ? undefined : <Sparkline values={buckets} />),
  },
  {
    key: "noise",
    head: "Alerts",
    width: "64px",
    isNumber: true,
    cell: ({ alerts }) => (alerts === undefined ? "–" : countText(alerts)),
  },
  {
    key: "last",
    head: "Last",
    width: "84px",
    isNumber: true,
    isWideOnly: true,
    cell: ({ last, alerts }) =>
      last === undefined ? <span className="faint">{alerts === 0 ? "none" : ""}</span> : <Ago time={last} />,
  },
];

/** What the enabled rules look for, by the techniques of ATT&CK that they name. */
function Coverage({
  rows,
  onTag,
}: {
  readonly rows: readonly RuleRow[];
  readonly onTag: (tag: string) => void;
}) {
  const techniques = useMemo(() => techniquesOf(rows), [rows]);
  return (
    <Panel
      title="ATT&CK coverage"
      aside={
        <>
          <span className="faint">{nounText(techniques.length, "technique")}</span> ·{" "}
          <Link to="/reports?report=coverage">clusters</Link>
        </>
      }
    >
      {techniques.length === 0 ? (
        <p className="muted">No rule of it names a technique.</p>
      ) : (
        <ul className="labels techniques">
          {techniques.map(({ tag, rules, alerts }) => (
            <li key={tag} className="label">
              <button
                type="button"
                className="technique"
                title={`${nounText(rules, "rule")}, ${nounText(alerts, "alert")}`}
                onClick={() => onTag(tag)}
              >
                {tag} <strong>{rules}</strong>
              </button>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
