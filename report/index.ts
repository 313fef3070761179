/** The door of the room. */
export type { Act, ReportedAlert } from "./act.ts";
export {
  actsJson,
  actsReports,
  details,
  rowsOf,
  sheetOf,
  who,
  type ActsReport,
  type ReportRow,
} from "./acts-report.ts";
export {
  coverageSheet,
  rolloutsSheet,
  sheetJson,
  type Period,
  type ReportedCluster,
  type ReportedRollout,
} from "./fleet-reports.ts";
export {
  iso,
  periodLine,
  renderCsv,
  renderHtml,
  renderMarkdown,
  type Sheet,
  type SheetRow,
} from "./sheet.ts";
export { readActs, readBounds, type AlertsPage, type ReadActs, type ReadBounds } from "./read-acts.ts";
export { redact, redactClusters, redactRollouts } from "./redact.ts";
export { redactable, redactableIn, type Redactable } from "./redactable.ts";
