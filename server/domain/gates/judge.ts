import { judgeAlerts, judgeNewAlerts, judgeSilence } from "./alerts.ts";
import type { GateFacts } from "./facts.ts";
import type { GateName, GateSetting, GateVerdict } from "./gate.ts";
import { judgeHealth } from "./health.ts";
import { judgeCost, judgeDrops, judgeIngest, judgeLag } from "./rates.ts";

type Judge = (setting: GateSetting, facts: GateFacts) => GateVerdict;

const judges: Readonly<Record<GateName, Judge>> = {
  health: judgeHealth,
  ingest: judgeIngest,
  drops: judgeDrops,
  lag: judgeLag,
  cost: judgeCost,
  alerts: judgeAlerts,
  "new-alerts": judgeNewAlerts,
  silence: judgeSilence,
};

/** The verdict of each gate that is on. The same facts give the same verdicts on every server. */
export function judgeGates(settings: readonly GateSetting[], facts: GateFacts): readonly GateVerdict[] {
  return settings.map((setting) => judges[setting.name](setting, facts));
}
