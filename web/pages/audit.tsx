import { useInfiniteQuery } from "@connectrpc/connect-query";
import { useMemo, useState } from "react";
import { AuditService, type AuditEntry, type ListAuditResponse } from "#proto/fleet/v1/audit";
import { byPage, readOnUnlessSparse, unlessReadBack } from "../api/paging.ts";
import { Badge } from "../components/badge.tsx";
import { Dialog } from "../components/dialog.tsx";
import { FilterBox } from "../components/filter-box.tsx";
import { Facts, PageHead } from "../components/panel.tsx";
import { useParam } from "../components/router.tsx";
import { Rows, type Column } from "../components/rows.tsx";
import { Searched } from "../components/searched.tsx";
import { Select } from "../components/select.tsx";
import { Answered, Empty } from "../components/states.tsx";
import { Ago } from "../components/time.tsx";
import { holdsAll, wordsOf } from "../view/find.ts";

/** Who did what. */
export function AuditPage() {
  const [text, setText] = useParam("q");
  const [which, setWhich] = useParam("which");
  const [open, setOpen] = useState<AuditEntry>();
  const answer = useInfiniteQuery(
    AuditService.method.listAudit,
    { filter: { refused: which === "refused" }, pageSize: 200, pageToken: "" },
    {
      ...byPage,
      refetchInterval: unlessReadBack(10_000),
      placeholderData: (before) => before,
    },
  );
  const columns = useMemo(() => columnsOf(setOpen), []);
  const words = wordsOf(text);
  const reading = { words, rowsOf, isFound: (entry: AuditEntry) => holdsAll(textsOf(entry), words) };
  return (
    <>
      <PageHead title="Audit log" />
      <div className="tools">
        <FilterBox label="Filter entries" hint="who, what, or about what" value={text} onChange={setText} />
        <Select label="Which" value={which} options={["", "refused"]} none="all" onChange={setWhich} />
      </div>
      <Answered answer={answer} lines={12}>
        {({ pages }) => {
          const all = pages.flatMap(rowsOf);
          const rows = all.filter(reading.isFound);
          const searched = <Searched rows="entries" pages={answer} reading={reading} />;
          if (rows.length === 0) return answer.hasNextPage ? searched : <Empty>No entry matches.</Empty>;
          return (
            <>
              <Rows
                label="Audit log"
                rows={rows}
                columns={columns}
                keyOf={({ sequence }) => String(sequence)}
                {...readOnUnlessSparse(answer, reading)}
              />
              {searched}
            </>
          );
        }}
      </Answered>
      {open === undefined ? undefined : <Entry entry={open} onClose={() => setOpen(undefined)} />}
    </>
  );
}

const rowsOf = ({ entries }: ListAuditResponse): readonly AuditEntry[] => entries;

function textsOf({ actor, method, target, outcome, why }: AuditEntry): readonly (string | undefined)[] {
  return [actor?.name, actor?.id, actor?.kind, method, target, outcome, why];
}

function who({ actor }: AuditEntry): string {
  return actor === undefined ? "" : actor.name || actor.id || `the ${actor.kind}`;
}

const columnsOf = (open: (entry: AuditEntry) => void): readonly Column<AuditEntry>[] => [
  { key: "when", head: "When", width: "84px", isWideOnly: true, cell: ({ time }) => <Ago time={time} /> },
  {
    key: "what",
    head: "What",
    width: "minmax(130px, 1.6fr)",
    cell: (entry) => (
      <button type="button" className="alert-open" onClick={() => open(entry)}>
        <span className="cut row-link">{entry.method}</span>
      </button>
    ),
  },
  { key: "who", head: "Who", width: "minmax(84px, 1fr)", cell: (entry) => who(entry) },
  {
    key: "about",
    head: "About",
    width: "minmax(90px, 1.2fr)",
    isWideOnly: true,
    cell: ({ target }) => target,
  },
  {
    key: "outcome",
    head: "Outcome",
    width: "minmax(56px, 150px)",
    cell: ({ outcome, why }) => (
      <span title={why}>
        <Badge tone={outcome === "ok" ? "ok" : "bad"}>{outcome}</Badge>
      </span>
    ),
  },
];

function Entry({ entry, onClose }: { readonly entry: AuditEntry; readonly onClose: () => void }) {
  const { actor, why, request } = entry;
  return (
    <Dialog title={entry.method} onClose={onClose}>
      <div className="dialog-body">
        {why === "" ? undefined : <p className="alert-output">{why}</p>}
        <Facts
          facts={[
            ["Who", who(entry)],
            ["As", [actor?.kind, actor?.role].filter(Boolean).join(", ")],
            ["When", <Ago key="when" time={entry.time} />],
            ["About", entry.target || "–"],
            ["Outcome", entry.outcome],
            ["Server", entry.server],
            ["Row", String(entry.sequence)],
            ["Id", <code key="id">{actor?.id}</code>],
          ]}
        />
        {Object.keys(request).length === 0 ? undefined : (
          <pre className="text" tabIndex={0} aria-label="What was asked for">
            {Object.entries(request)
              .map(([field, value]) => `${field}: ${value}`)
              .join("\n")}
          </pre>
        )}
      </div>
    </Dialog>
  );
}
