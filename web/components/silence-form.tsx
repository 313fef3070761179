import { useQuery } from "@connectrpc/connect-query";
import { useDeferredValue, useId, useState, type FormEvent } from "react";
import { AlertGroupService } from "#proto/fleet/v1/alert_group";
import { addSilence } from "../api/alerts.ts";
import { saysRuleOrActor } from "../view/match.ts";
import { nounText } from "../view/quantity.ts";
import { Dialog } from "./dialog.tsx";
import { Refused } from "./states.tsx";

/** How long a silence may be meant to last, in hours. */
const lengths = [
  [1, "1 hour"],
  [8, "8 hours"],
  [24, "1 day"],
  [168, "7 days"],
  [720, "30 days"],
] as const;

const foundMax = 100;

/** Marks what is known, for a while and with a reason. Shows what it would reach before it is there. */
export function SilenceForm({
  matchers: given,
  onDone,
  onClose,
}: {
  readonly matchers: string;
  readonly onDone?: () => void;
  readonly onClose: () => void;
}) {
  const [matchers, setMatchers] = useState(given);
  const [reason, setReason] = useState("");
  const [hours, setHours] = useState<number>(8);
  const [isRunning, setIsRunning] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const run = async (event: FormEvent) => {
    event.preventDefault();
    setIsRunning(true);
    setError(undefined);
    try {
      await addSilence({ matchers, reason, hours });
      onDone?.();
      onClose();
    } catch (refusal) {
      setError(refusal);
      setIsRunning(false);
    }
  };
  return (
    <Dialog title="Silence alerts" onClose={onClose}>
      <form className="dialog-body" onSubmit={(event) => void run(event)}>
        <p className="consequence">
          Nothing is dropped: alerts that match are stored and counted as all others, and nobody is called for
          them.
        </p>
        <Known matchers={matchers} onChange={setMatchers} />
        <Width matchers={matchers} />
        <Reason reason={reason} onChange={setReason} />
        <Length hours={hours} onChange={setHours} />
        {error === undefined ? undefined : <Refused error={error} />}
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="button primary" disabled={isRunning}>
            Silence
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function Reason({
  reason,
  onChange,
}: {
  readonly reason: string;
  readonly onChange: (reason: string) => void;
}) {
  const id = useId();
  return (
    <label className="field" htmlFor={id}>
      Reason, which everybody reads
      <input
        id={id}
        className="input"
        maxLength={500}
        required
        value={reason}
        onChange={(event) => onChange(event.target.value)}
      />
    </label>
  );
}

function Length({ hours, onChange }: { readonly hours: number; readonly onChange: (hours: number) => void }) {
  const id = useId();
  return (
    <label className="field" htmlFor={id}>
      It ends by itself after
      <select
        id={id}
        className="input"
        value={hours}
        onChange={(event) => onChange(Number(event.target.value))}
      >
        {lengths.map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Known({
  matchers,
  onChange,
}: {
  readonly matchers: string;
  readonly onChange: (matchers: string) => void;
}) {
  const id = useId();
  return (
    <>
      <label className="field" htmlFor={id}>
        What is known; all matchers have to hold
        <textarea
          id={id}
          className="input mono area"
          rows={3}
          maxLength={4_096}
          required
          spellCheck={false}
          value={matchers}
          onChange={(event) => onChange(event.target.value)}
        />
      </label>
      <Reached matchers={matchers} />
    </>
  );
}

/** Asks whoever silences every rule and everybody at once whether that is meant; again when other matchers are. */
function Width({ matchers }: { readonly matchers: string }) {
  if (matchers.trim() === "" || saysRuleOrActor(matchers)) return undefined;
  return (
    <label key={matchers} className="choice">
      <input type="checkbox" className="pick" required />
      Neither a rule nor an actor is named: silence every rule and everybody that these matchers meet
    </label>
  );
}

/** The groups that are there and match, or what the server does not understand. */
function Reached({ matchers }: { readonly matchers: string }) {
  const wanted = useDeferredValue(matchers.trim());
  const { data, error } = useQuery(
    AlertGroupService.method.listAlertGroups,
    { filter: { matchers: wanted }, pageSize: foundMax },
    { enabled: wanted !== "", retry: false, staleTime: 10_000, placeholderData: (before) => before },
  );
  if (wanted === "") return <p className="hint reached">A silence has matchers.</p>;
  if (error !== null) return <Refused error={error} />;
  const count = data?.groups.length ?? 0;
  const more = data?.nextPageToken === "" ? "" : "at least ";
  return (
    <p className="hint reached" role="status">
      {data === undefined
        ? "…"
        : `It marks ${more}${nounText(count, "group that is", "groups that are")} here already.`}
    </p>
  );
}
