import type { AuditHeadStore } from "./audit-head.ts";

/**
 * A head that is newer by minutes is worth a report of its own; every report carries the newest anyway. By chance, so that
 * a fleet does not report all at once because somebody paused a rollout.
 */
export function noteCarried(auditHead: AuditHeadStore, onChange: () => void): { look(): void } {
  let reportedMs = auditHead.get()?.head.time.getTime();
  let afterMs = 0;
  return {
    look(): void {
      const timeMs = auditHead.get()?.head.time.getTime();
      if (timeMs === undefined || (reportedMs !== undefined && timeMs - reportedMs < afterMs)) return;
      if (timeMs === reportedMs) return;
      reportedMs = timeMs;
      afterMs = 10 * 60_000 + Math.random() * 50 * 60_000;
      onChange();
    },
  };
}
