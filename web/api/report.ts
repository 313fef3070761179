import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { AlertService } from "#proto/fleet/v1/alert";
import { ClusterService } from "#proto/fleet/v1/cluster";
import type { SelectorSchema } from "#proto/fleet/v1/common";
import { ReportService } from "#proto/fleet/v1/report";
import { RolloutService } from "#proto/fleet/v1/rollout";
import {
  actsJson,
  actsReports,
  coverageSheet,
  readActs,
  readBounds,
  redact,
  rolloutsSheet,
  rowsOf,
  sheetJson,
  sheetOf,
  type Redactable,
  type Sheet,
} from "#report";
import {
  reportedAlert,
  reportedCluster,
  reportedRollout,
  type ReportKind,
  type Week,
} from "../view/report.ts";
import { transport } from "./transport.ts";

const alertService = createClient(AlertService, transport);
const clusterService = createClient(ClusterService, transport);
const rolloutService = createClient(RolloutService, transport);
const reportService = createClient(ReportService, transport);

const rolloutsMax = 2_000;
const clustersMax = 100_000;
/** The server tells so many clusters apart when it counts alerts; those with the most come first. */
const countedMax = 1_000;

export interface ReportWish {
  readonly kind: ReportKind;
  readonly period: Pick<Week, "fromMs" | "untilMs">;
  readonly selector: MessageInitShape<typeof SelectorSchema>;
  /** The selector in words. */
  readonly clusters: string;
}

/** A report before it is written: what is redacted is decided when it is looked at. */
export type Report = (hidden: ReadonlySet<Redactable>) => {
  readonly sheet: Sheet;
  readonly json: unknown;
};

/** Reads what a report is about, within the scope of who asks, and says how far it is. */
export async function makeReport(
  wish: ReportWish,
  signal: AbortSignal,
  onProgress: (read: number) => void,
): Promise<Report> {
  switch (wish.kind) {
    case "rollouts":
      return written(await rolloutsOf(wish, signal, onProgress));
    case "coverage":
      return written(await coverageOf(wish, signal, onProgress));
    case "exec":
    case "secrets":
    case "privileges":
      return actsReport(wish, wish.kind, signal, onProgress);
  }
}

function written(sheet: Sheet): Report {
  return () => ({ sheet, json: sheetJson(sheet) });
}

interface Read<T> {
  readonly items: readonly T[];
  readonly isCut: boolean;
}

/** Page after page, until all or `max` were read. */
async function readAll<T>(
  max: number,
  get: (pageToken: string) => Promise<{ readonly items: readonly T[]; readonly next: string }>,
  onProgress: (read: number) => void,
): Promise<Read<T>> {
  const items: T[] = [];
  for (let pageToken = ""; ;) {
    const page = await get(pageToken);
    items.push(...page.items);
    onProgress(items.length);
    if (page.next === "") return { items, isCut: false };
    if (items.length >= max) return { items, isCut: true };
    pageToken = page.next;
  }
}

async function actsReport(
  { period, selector, clusters }: ReportWish,
  kind: keyof typeof actsReports,
  signal: AbortSignal,
  onProgress: (read: number) => void,
): Promise<Report> {
  const { title, tags } = actsReports[kind];
  const { fromMs, untilMs } = period;
  const filter = {
    selector,
    tags: [...tags],
    since: timestampFromMs(fromMs),
    until: timestampFromMs(untilMs),
  };
  const get = async (place: string | undefined) => {
    const wish = { filter, pageToken: place ?? "", pageSize: 500, countNotStored: place === undefined };
    const { alerts, nextPageToken, notStored } = await alertService.listAlerts(wish, { signal });
    const next = nextPageToken === "" ? undefined : nextPageToken;
    return { alerts: alerts.map(reportedAlert), next, notStored: Number(notStored) };
  };
  const { acts: told, ...read } = await readActs(get, readBounds, onProgress);
  return (hidden) => {
    const acts = redact(told, hidden);
    const named = { title, fromMs, untilMs, clusters: hidden.has("cluster") ? "" : clusters };
    const report = { ...read, ...named, rows: rowsOf(acts), acts: acts.length };
    return { sheet: sheetOf(report), json: actsJson(report) };
  };
}

async function rolloutsOf(
  { period }: ReportWish,
  signal: AbortSignal,
  onProgress: (read: number) => void,
): Promise<Sheet> {
  const get = async (pageToken: string) => {
    const page = await rolloutService.listRollouts({ pageToken, pageSize: 100 }, { signal });
    return { items: page.rollouts.map(reportedRollout), next: page.nextPageToken };
  };
  const { items, isCut } = await readAll(rolloutsMax, get, onProgress);
  return rolloutsSheet(items, { ...period, clusters: "" }, isCut);
}

async function coverageOf(
  { period, selector, clusters }: ReportWish,
  signal: AbortSignal,
  onProgress: (read: number) => void,
): Promise<Sheet> {
  const get = async (pageToken: string) => {
    const page = await clusterService.listClusters({ selector, pageToken, pageSize: 1_000 }, { signal });
    return { items: page.clusters, next: page.nextPageToken };
  };
  const { items } = await readAll(clustersMax, get, onProgress);
  const filter = {
    selector,
    since: timestampFromMs(period.fromMs),
    until: timestampFromMs(period.untilMs),
  };
  const { counts } = await alertService.getAlertStats({ by: "cluster", filter }, { signal });
  const wish = { filter, pageSize: 1, countNotStored: true };
  const { notStored } = await alertService.listAlerts(wish, { signal });
  const alerts = new Map(counts.map(({ value, count }) => [value, Number(count)]));
  const rest = counts.length < countedMax ? 0 : undefined;
  return coverageSheet(
    items.map((cluster) => reportedCluster(cluster, alerts.get(cluster.name) ?? rest)),
    { ...period, clusters },
    Number(notStored),
  );
}

/** Has the server make and send the report of a schedule now. */
export async function sendReport(name: string): Promise<void> {
  await reportService.sendReport({ name });
}
