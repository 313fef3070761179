import { useQuery } from "@connectrpc/connect-query";
import { useState } from "react";
import type { Identity } from "#proto/fleet/v1/auth";
import {
  NotificationService,
  type DeadLetter,
  type ListDeadLettersResponse,
  type ListReceiversResponse,
  type ListRoutesResponse,
  type Receiver,
  type Route,
} from "#proto/fleet/v1/notification";
import { retryDeadLetters } from "../api/alerts.ts";
import { State } from "../components/badge.tsx";
import { Confirm, type Action } from "../components/dialog.tsx";
import { PageHead, Panel } from "../components/panel.tsx";
import { Answered, Empty, Waiting, type Answer } from "../components/states.tsx";
import { alertTabs, Tabs } from "../components/tabs.tsx";
import { Ago } from "../components/time.tsx";
import { may } from "../view/may.ts";
import { deadCount, receiverWord } from "../view/notify.ts";
import { countText, nounText } from "../view/quantity.ts";
import { lengthText } from "../view/time.ts";

const everyMs = 10_000;

/** Who outside is told of what, and what did not get there. */
export function AlertNotificationsPage({ identity }: { readonly identity: Identity }) {
  return (
    <>
      <PageHead title="Notifications" aside={<Tabs label="Alerts" tabs={alertTabs(identity)} />} />
      {may(identity, "notifications") ? (
        <Notifications mayRetry={may(identity, "retry")} />
      ) : (
        <Empty>Notifications are for operators and admins of the whole fleet.</Empty>
      )}
    </>
  );
}

function Notifications({ mayRetry }: { readonly mayRetry: boolean }) {
  const [action, setAction] = useState<Action>();
  const onAct = mayRetry ? setAction : undefined;
  const { listReceivers, listRoutes, listDeadLetters } = NotificationService.method;
  const receivers = useQuery(listReceivers, {}, { refetchInterval: everyMs });
  const routes = useQuery(listRoutes, {}, { refetchInterval: everyMs });
  const letters = useQuery(listDeadLetters, {}, { refetchInterval: everyMs });
  // They are shown together, so that none pushes another away.
  if (receivers.isPending || routes.isPending || letters.isPending) return <Waiting lines={12} />;
  return (
    <>
      <div className="columns">
        <div className="stack">
          <Receivers answer={receivers} onAct={onAct} />
          <Routes answer={routes} />
        </div>
        <DeadLetters answer={letters} receivers={receivers.data?.receivers ?? []} onAct={onAct} />
      </div>
      {action === undefined ? undefined : <Confirm action={action} onClose={() => setAction(undefined)} />}
    </>
  );
}

type OnAct = ((action: Action) => void) | undefined;

interface Part<T> {
  readonly answer: Answer<T>;
  readonly onAct?: OnAct;
}

function Receivers({ answer, onAct }: Part<ListReceiversResponse>) {
  return (
    <Panel title="Receivers" isFlush>
      <Answered answer={answer} lines={3}>
        {({ receivers }) =>
          receivers.length === 0 ? (
            <p className="calm">
              Nobody is told of anything. To add a receiver: <code>fleetctl notify receiver add</code>.
            </p>
          ) : (
            <ul className="lines" aria-label="Receivers">
              {receivers.map((receiver) => (
                <ReceiverLine key={receiver.name} receiver={receiver} onAct={onAct} />
              ))}
            </ul>
          )
        }
      </Answered>
    </Panel>
  );
}

function ReceiverLine({ receiver, onAct }: { readonly receiver: Receiver; readonly onAct: OnAct }) {
  const { name, kind, settings, perMinute, waiting, dead, sentAt, failedAt, failure } = receiver;
  const where = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  const retry = () =>
    onAct?.({
      title: `Send to ${name} again`,
      consequence: `${nounText(dead, "message")} that were given up are sent from the first attempt on.`,
      verb: "Send again",
      isDangerous: false,
      run: () => retryDeadLetters({ receiver: name }),
    });
  return (
    <li className="line">
      <State word={receiverWord(receiver)} />
      <strong>{name}</strong>
      <span className="line-rest grow">{kind}</span>
      <span className={dead > 0 ? "tone-bad toned number" : "faint number"}>
        {countText(waiting)} waiting, {countText(dead)} dead
      </span>
      {onAct === undefined || dead === 0 ? undefined : (
        <button type="button" className="button small" onClick={retry}>
          Send all again
        </button>
      )}
      <p className="note faint">
        <code>{where.join(" ")}</code> last sent <Ago time={sentAt} />, at most {perMinute} a minute
      </p>
      {failure === "" ? undefined : (
        <p className="note tone-bad toned">
          {failure}, <Ago time={failedAt} />
        </p>
      )}
    </li>
  );
}

function Routes({ answer }: Part<ListRoutesResponse>) {
  return (
    <Panel title="Routes, in their order" isFlush>
      <Answered answer={answer} lines={3}>
        {({ routes }) =>
          routes.length === 0 ? (
            <p className="calm">
              No route leads anywhere. To add one: <code>fleetctl notify route add</code>.
            </p>
          ) : (
            <ol className="lines" aria-label="Routes">
              {routes.map((route) => (
                <RouteLine key={route.name} route={route} />
              ))}
            </ol>
          )
        }
      </Answered>
    </Panel>
  );
}

function RouteLine({ route }: { readonly route: Route }) {
  const { name, receiver, matchers, groupBy, waitMs, intervalMs, repeatMs, goesOn } = route;
  return (
    <li className="line">
      <strong>{name}</strong>
      <span className="line-rest grow">
        to {receiver}
        {goesOn ? ", and goes on" : ""}
      </span>
      <p className="note">{matchers === "" ? "everything" : <code>{matchers}</code>}</p>
      <p className="note faint">
        together by {groupBy.join(", ")} · after {lengthText(waitMs)}, with news every{" "}
        {lengthText(intervalMs)}, again every {lengthText(repeatMs)}
      </p>
    </li>
  );
}

interface DeadLettersProps extends Part<ListDeadLettersResponse> {
  readonly receivers: readonly Receiver[];
}

function DeadLetters({ answer, receivers, onAct }: DeadLettersProps) {
  return (
    <Panel title="Dead letters" isFlush>
      <Answered answer={answer} lines={4}>
        {({ deadLetters }) =>
          deadLetters.length === 0 ? (
            <p className="calm">No message was given up.</p>
          ) : (
            <>
              <ul className="lines" aria-label="Dead letters">
                {deadLetters.slice(0, shownMax).map((letter) => (
                  <Letter key={letter.id} letter={letter} onAct={onAct} />
                ))}
              </ul>
              {deadLetters.length > shownMax ? (
                <p className="calm">
                  The newest {shownMax} of {nounText(deadCount(receivers, deadLetters.length), "message")}.
                  For others: <code>fleetctl notify dead-letters list</code>.
                </p>
              ) : undefined}
            </>
          )
        }
      </Answered>
    </Panel>
  );
}

const shownMax = 100;

function Letter({ letter, onAct }: { readonly letter: DeadLetter; readonly onAct: OnAct }) {
  const { id, receiver, route, subject, attempts, failure, deadAt } = letter;
  const retry = () =>
    onAct?.({
      title: "Send the message again",
      consequence: `"${subject}" is sent to ${receiver} from the first attempt on.`,
      verb: "Send again",
      isDangerous: false,
      run: () => retryDeadLetters({ ids: [id] }),
    });
  return (
    <li className="line">
      <span className="letter-subject">{subject}</span>
      {onAct === undefined ? undefined : (
        <button type="button" className="button small" aria-label={`Send again: ${subject}`} onClick={retry}>
          Send again
        </button>
      )}
      <p className="note tone-bad toned">{failure}</p>
      <p className="note faint">
        to {receiver}
        {route === "" ? "" : ` by ${route}`}, {nounText(attempts, "attempt")}, given up <Ago time={deadAt} />
      </p>
    </li>
  );
}
