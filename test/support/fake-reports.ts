import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { ReportScheduleSchema, type ReportSchedule, type ReportService } from "#proto/fleet/v1/report";

/** Schedules of reports of a test's fleet. */
export class FakeReports {
  readonly schedules: ReportSchedule[] = [];
  /** The names of those that were sent out of turn. */
  readonly sent: string[] = [];

  service(): ServiceImpl<typeof ReportService> {
    return {
      addReportSchedule: (request) => {
        const { $typeName: _name, $unknown: _unknown, ...wish } = request;
        const nextAt = timestampFromMs(Date.UTC(2026, 2, 2, 7));
        const schedule = create(ReportScheduleSchema, { ...wish, nextAt, createdBy: "test" });
        this.schedules.push(schedule);
        return { schedule };
      },
      listReportSchedules: () => ({ schedules: this.schedules }),
      removeReportSchedule: ({ name }) => {
        this.schedules.splice(this.#placeOf(name), 1);
        return {};
      },
      sendReport: ({ name }) => {
        this.#placeOf(name);
        this.sent.push(name);
        return {};
      },
    };
  }

  #placeOf(name: string): number {
    const place = this.schedules.findIndex((each) => each.name === name);
    if (place === -1) throw new ConnectError(`No such schedule: "${name}"`, Code.NotFound);
    return place;
  }
}
