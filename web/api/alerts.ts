import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { useQuery } from "@tanstack/react-query";
import { AlertService, type Alert } from "#proto/fleet/v1/alert";
import { AlertGroupService, type AlertGroup } from "#proto/fleet/v1/alert_group";
import { AlertSilenceService } from "#proto/fleet/v1/alert_silence";
import { NotificationService } from "#proto/fleet/v1/notification";
import type { GroupStep } from "../view/alert-group.ts";
import { isNamed, parseAlertParam, type AlertName } from "../view/alert-link.ts";
import { queryClient } from "./query-client.ts";
import { transport } from "./transport.ts";

const alertService = createClient(AlertService, transport);
const groupService = createClient(AlertGroupService, transport);
const notificationService = createClient(NotificationService, transport);
const silenceService = createClient(AlertSilenceService, transport);

/** Says something of groups as they were seen: the server refuses when one changed since. */
export async function takeStep(step: GroupStep, groups: readonly AlertGroup[], note: string): Promise<void> {
  const request = { groups: groups.map(({ id, generation }) => ({ id, generation })), note };
  if (step === "acknowledge") await groupService.acknowledgeAlertGroups(request);
  else if (step === "resolve") await groupService.resolveAlertGroups(request);
  else await groupService.reopenAlertGroups(request);
  await queryClient.invalidateQueries();
}

export interface NewSilence {
  readonly matchers: string;
  readonly reason: string;
  readonly hours: number;
}

export async function addSilence({ matchers, reason, hours }: NewSilence): Promise<void> {
  const expiresAt = timestampFromMs(Date.now() + hours * 3_600_000);
  await silenceService.addAlertSilence({ matchers, reason, expiresAt });
  await queryClient.invalidateQueries();
}

export async function removeSilence(id: string): Promise<void> {
  await silenceService.removeAlertSilence({ id });
  await queryClient.invalidateQueries();
}

/** Around the time of an address: what was done about an alert is told a while after its event. */
const beforeMs = 600_000;
const afterMs = 60_000;
/** Each call looks at a bounded number of alerts; nobody waits for more than so many. */
const callsMax = 50;

/** One alert by its name: around its time first, and then among the newest. Undefined when it is not there. */
async function findAlert(name: AlertName, signal: AbortSignal): Promise<Alert | undefined> {
  const { timeMs } = name;
  const around =
    timeMs === undefined
      ? []
      : [{ since: timestampFromMs(timeMs - beforeMs), until: timestampFromMs(timeMs + afterMs) }];
  for (const filter of [...around, {}]) {
    let pageToken = "";
    for (let call = 0; call < callsMax; call += 1) {
      const request = { filter, alertId: name.id, pageSize: 10, pageToken };
      const page = await alertService.listAlerts(request, { signal });
      const found = page.alerts.find((alert) => isNamed(name, alert));
      if (found !== undefined) return found;
      if (page.nextPageToken === "") break;
      pageToken = page.nextPageToken;
    }
  }
  return undefined;
}

/** The alert that an address names, unless that is known already. */
export function useNamedAlert(text: string, isWanted: boolean) {
  return useQuery({
    queryKey: ["alert", text],
    queryFn: async ({ signal }) => {
      const name = parseAlertParam(text);
      return { alert: name === undefined ? undefined : await findAlert(name, signal) };
    },
    enabled: isWanted,
    staleTime: 60_000,
  });
}

/** Has messages that were given up sent again. */
export async function retryDeadLetters(wanted: {
  readonly ids?: string[];
  readonly receiver?: string;
}): Promise<void> {
  await notificationService.retryDeadLetters(wanted);
  await queryClient.invalidateQueries();
}
