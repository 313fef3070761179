import { useQuery } from "@connectrpc/connect-query";
import { useState } from "react";
import { ReportService, type ReportSchedule } from "#proto/fleet/v1/report";
import { sendReport } from "../api/report.ts";
import { selectorText } from "../view/selector.ts";
import { Confirm, type Action } from "./dialog.tsx";
import { Panel } from "./panel.tsx";
import { Answered } from "./states.tsx";
import { Ago } from "./time.tsx";

/** What the server makes and sends by itself. */
export function ReportSchedules({ mayWrite }: { readonly mayWrite: boolean }) {
  const answer = useQuery(ReportService.method.listReportSchedules, {}, { refetchInterval: 60_000 });
  return (
    <div className="after-page">
      <Panel title="On a schedule" isFlush>
        <Answered answer={answer} lines={3}>
          {({ schedules }) =>
            schedules.length === 0 ? (
              <p className="calm">
                No report is sent by itself. To have one sent: <code>fleetctl report schedule add</code>.
              </p>
            ) : (
              <ul className="lines" aria-label="Schedules">
                {schedules.map((schedule) => (
                  <Schedule key={schedule.name} schedule={schedule} mayWrite={mayWrite} />
                ))}
              </ul>
            )
          }
        </Answered>
      </Panel>
    </div>
  );
}

function Schedule({ schedule, mayWrite }: { readonly schedule: ReportSchedule; readonly mayWrite: boolean }) {
  const [action, setAction] = useState<Action>();
  const { name, report, receiver, format, selector, rules, redact, nextAt, lastAt } = schedule;
  const send = () =>
    setAction({
      title: `Send ${name} now`,
      consequence: `The server makes the ${report} report and sends it to ${receiver}. Then it goes on as before.`,
      verb: "Send",
      isDangerous: false,
      run: () => sendReport(name),
    });
  return (
    <li className="line">
      <strong>{name}</strong>
      <span className="line-rest grow">
        {report} as {format} to {receiver}, {schedule.schedule}
        {selector === undefined || selector.requirements.length === 0 ? "" : `, ${selectorText(selector)}`}
        {rules.length === 0 ? "" : `, of ${rules.join(", ")}`}
        {redact.length === 0 ? "" : `, without ${redact.join(", ")}`}
      </span>
      <span className="line-rest">
        next <Ago time={nextAt} />, last <Ago time={lastAt} />
      </span>
      {mayWrite ? (
        <button type="button" className="button small" onClick={send}>
          Send now
        </button>
      ) : undefined}
      {action === undefined ? undefined : <Confirm action={action} onClose={() => setAction(undefined)} />}
    </li>
  );
}
