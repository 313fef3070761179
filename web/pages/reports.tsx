import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import type { Identity } from "#proto/fleet/v1/auth";
import { redactable, renderCsv, renderHtml, renderMarkdown, type Redactable } from "#report";
import { makeReport, type Report } from "../api/report.ts";
import { may } from "../view/may.ts";
import { FilterBox } from "../components/filter-box.tsx";
import { PageHead } from "../components/panel.tsx";
import { ReportSchedules } from "../components/report-schedules.tsx";
import { ReportSheet } from "../components/report-sheet.tsx";
import { useParam } from "../components/router.tsx";
import { Select } from "../components/select.tsx";
import { Answered } from "../components/states.tsx";
import { save } from "../api/save.ts";
import { countText } from "../view/quantity.ts";
import { parseFilter, selectorText } from "../view/selector.ts";
import { reportKind, reportKinds, weeksOf, type ReportKind } from "../view/report.ts";

const actsKinds: readonly ReportKind[] = ["exec", "secrets", "privileges"];

/** Who did what in a week, for people who were not there: as fleetctl report writes it. */
export function ReportsPage({ identity }: { readonly identity: Identity }) {
  const [word, setWord] = useParam("report", "exec");
  const [week, setWeek] = useParam("week");
  const [text, setText] = useParam("q");
  const kind = reportKind(word);
  const filter = useMemo(() => parseFilter(text), [text]);
  const [openedMs] = useState(Date.now);
  const weeks = useMemo(() => weeksOf(openedMs), [openedMs]);
  const odd = filter.problem === "" ? filter.words[0] : undefined;
  return (
    <>
      <PageHead title="Reports" />
      <nav className="tabs kinds" aria-label="Report">
        {Object.entries(reportKinds).map(([name, title]) => (
          <button
            key={name}
            type="button"
            className="tab"
            aria-pressed={name === kind}
            onClick={() => setWord(name)}
          >
            {title}
          </button>
        ))}
      </nav>
      <div className="tools">
        {kind === "rollouts" ? undefined : (
          <FilterBox
            label="Clusters of the report"
            hint="all clusters, or region=eu,environment=prod"
            value={text}
            onChange={setText}
            problem={odd === undefined ? filter.problem : `"${odd}" is no label: region=eu`}
          />
        )}
        <Select
          label="Week"
          value={week}
          options={weeks.map(({ value }) => value)}
          none="last 7 days"
          onChange={setWeek}
        />
      </div>
      <Made
        kind={kind}
        week={weeks.find(({ value }) => value === week) ?? weeks[0]}
        text={kind === "rollouts" ? "" : text}
        identity={identity}
      />
    </>
  );
}

/** A report reads much: whoever types a filter is waited for. */
const settledMs = 500;

function useSettled<T>(value: T): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), settledMs);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}

interface MadeProps {
  readonly kind: ReportKind;
  readonly week: ReturnType<typeof weeksOf>[number] | undefined;
  readonly text: string;
  readonly identity: Identity;
}

function Made({ kind, week, text, identity }: MadeProps) {
  const [hidden, setHidden] = useState<ReadonlySet<Redactable>>(new Set());
  const [read, setRead] = useState(0);
  const settled = useSettled(text);
  const { selector } = useMemo(() => parseFilter(settled), [settled]);
  const clusters = selectorText(selector);
  const answer = useQuery({
    queryKey: ["report", kind, week?.value, clusters],
    queryFn: ({ signal }): Promise<Report> =>
      makeReport(
        {
          kind,
          period: week ?? { fromMs: 0, untilMs: 0 },
          selector: { requirements: [...selector.requirements] },
          clusters,
        },
        signal,
        setRead,
      ),
    staleTime: 300_000,
    refetchOnWindowFocus: false,
  });
  // What was asked before says nothing of what is asked now: it is neither shown nor handed out while somebody types.
  const isSettled = settled === text;
  const report = isSettled ? answer.data : undefined;
  const error = isSettled ? answer.error : null;
  const written = useMemo(() => report?.(hidden), [report, hidden]);
  const isReading = report === undefined && error === null;
  return (
    <>
      <div className="overview">
        {actsKinds.includes(kind) ? <Redaction hidden={hidden} onChange={setHidden} /> : undefined}
        <Downloads kind={kind} week={week?.value ?? ""} written={written}>
          {isReading && isSettled && read > 0 ? `${countText(read)} read so far` : ""}
        </Downloads>
        <Answered answer={{ ...answer, error, data: written }} lines={12}>
          {({ sheet }) => <ReportSheet sheet={sheet} />}
        </Answered>
      </div>
      {/* Below something whose length is not known yet it would jump. */}
      {isReading || !may(identity, "schedules") ? undefined : (
        <ReportSchedules mayWrite={may(identity, "send")} />
      )}
    </>
  );
}

function Redaction({
  hidden,
  onChange,
}: {
  readonly hidden: ReadonlySet<Redactable>;
  readonly onChange: (hidden: ReadonlySet<Redactable>) => void;
}) {
  return (
    <fieldset className="choices">
      <legend>Replace by names that mean nothing:</legend>
      {redactable.map((what) => (
        <label key={what} className="choice">
          <input
            type="checkbox"
            className="pick"
            checked={hidden.has(what)}
            onChange={({ target }) => {
              const next = new Set(hidden);
              if (target.checked) next.add(what);
              else next.delete(what);
              onChange(next);
            }}
          />
          {what}
        </label>
      ))}
    </fieldset>
  );
}

interface DownloadsProps {
  readonly kind: ReportKind;
  readonly week: string;
  /** Absent while it is made: the buttons keep their places. */
  readonly written: ReturnType<Report> | undefined;
  /** How far it is. */
  readonly children: string;
}

function Downloads({ kind, week, written, children }: DownloadsProps) {
  const name = `falconry-${kind}-${week === "" ? "last-7-days" : week}`;
  return (
    <div className="downloads" role="group" aria-label="Download">
      <span className="muted">Download as</span>
      {files.map(({ title, ending, type, write }) => (
        <button
          key={title}
          type="button"
          className="button small"
          disabled={written === undefined}
          onClick={() => written !== undefined && save(`${name}.${ending}`, type, write(written))}
        >
          {title}
        </button>
      ))}
      <span className="hint" role="status">
        {children}
      </span>
    </div>
  );
}

type Write = (written: ReturnType<Report>) => string;

const files: readonly { title: string; ending: string; type: string; write: Write }[] = [
  { title: "HTML", ending: "html", type: "text/html", write: ({ sheet }) => renderHtml(sheet) },
  { title: "Markdown", ending: "md", type: "text/markdown", write: ({ sheet }) => renderMarkdown(sheet) },
  { title: "CSV", ending: "csv", type: "text/csv", write: ({ sheet }) => renderCsv(sheet) },
  {
    title: "JSON",
    ending: "json",
    type: "application/json",
    write: ({ json }) => JSON.stringify(json, undefined, 2),
  },
];
