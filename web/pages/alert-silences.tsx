import { useQuery } from "@connectrpc/connect-query";
import { useState } from "react";
import type { Identity } from "#proto/fleet/v1/auth";
import { AlertSilenceService, type AlertSilence } from "#proto/fleet/v1/alert_silence";
import { removeSilence } from "../api/alerts.ts";
import { may } from "../view/may.ts";
import { Badge } from "../components/badge.tsx";
import { Confirm, type Action } from "../components/dialog.tsx";
import { PageHead } from "../components/panel.tsx";
import { Link, useParam } from "../components/router.tsx";
import { Select } from "../components/select.tsx";
import { SilenceForm } from "../components/silence-form.tsx";
import { Answered, Empty } from "../components/states.tsx";
import { alertTabs, Tabs } from "../components/tabs.tsx";
import { Ago, useNow } from "../components/time.tsx";
import { nounText } from "../view/quantity.ts";
import { msOf } from "../view/time.ts";

/** What is silent, by whom, why and until when. */
export function AlertSilencesPage({ identity }: { readonly identity: Identity }) {
  const [which, setWhich] = useParam("which");
  const [isAdding, setIsAdding] = useState(false);
  const answer = useQuery(
    AlertSilenceService.method.listAlertSilences,
    { includeEnded: which !== "" },
    { refetchInterval: 10_000, placeholderData: (before) => before },
  );
  const mayWrite = may(identity, "operate");
  return (
    <>
      <PageHead title="Silences" aside={<Tabs label="Alerts" tabs={alertTabs(identity)} />} />
      <div className="tools">
        <Select
          label="Which"
          value={which}
          options={["", "with those that ended"]}
          none="those that hold"
          onChange={setWhich}
        />
        {mayWrite ? (
          <button type="button" className="button" onClick={() => setIsAdding(true)}>
            Add a silence
          </button>
        ) : undefined}
      </div>
      <Answered answer={answer} lines={6}>
        {({ silences }) =>
          silences.length === 0 ? (
            <Empty>{which === "" ? "Nothing is silent." : "There is no silence."}</Empty>
          ) : (
            <ul className="panel lines" aria-label="Silences">
              {silences.map((silence) => (
                <Silence key={silence.id} silence={silence} mayWrite={mayWrite} />
              ))}
            </ul>
          )
        }
      </Answered>
      {isAdding ? <SilenceForm matchers="" onClose={() => setIsAdding(false)} /> : undefined}
    </>
  );
}

function Silence({ silence, mayWrite }: { readonly silence: AlertSilence; readonly mayWrite: boolean }) {
  const [action, setAction] = useState<Action>();
  const { id, matchers, author, reason, createdAt, expiresAt, removedAt, removedBy, groups } = silence;
  const isOver = useNow() >= (msOf(removedAt ?? expiresAt) ?? 0);
  const end = () =>
    setAction({
      title: "End the silence now",
      consequence: `What it marked counts as not silenced, unless another silence matches: ${matchers}`,
      verb: "End it",
      isDangerous: false,
      run: () => removeSilence(id),
    });
  return (
    <li className="line silence">
      <Badge tone={isOver ? "idle" : "busy"}>{isOver ? "over" : "holds"}</Badge>
      <Link to={`/alerts?state=all&q=${encodeURIComponent(matchers)}`} className="silence-what">
        <code>{matchers}</code>
      </Link>
      {mayWrite && !isOver ? (
        <button type="button" className="button small" onClick={end}>
          End now
        </button>
      ) : undefined}
      <p className="note">{reason}</p>
      <p className="note faint">
        {author}, <Ago time={createdAt} /> ·{" "}
        {removedAt === undefined ? (isOver ? "ended " : "ends ") : `ended by ${removedBy} `}
        <Ago time={removedAt ?? expiresAt} /> · marks {nounText(Number(groups), "group")}
      </p>
      {action === undefined ? undefined : <Confirm action={action} onClose={() => setAction(undefined)} />}
    </li>
  );
}
