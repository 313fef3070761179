import { createEventStream, type Detection, isAuditRecord, keepRules } from "#engine";
import { type AlertFields, parseAlert } from "./alert-file.ts";
import { excuses, type Proposal } from "./noise.ts";
import { singleEvents } from "./payloads.ts";
import { type Tuned, withProposals } from "./prove-tuning.ts";

/** What a replay of recorded events shows. */
export interface Replay {
  readonly events: number;
  /** Alerts of the tuned rules before and after, and how many each proposal removes on its own. */
  readonly before: number;
  readonly after: number;
  readonly removedBy: readonly number[];
  /** Alerts that other rules raise only since the tuned rules are silent. */
  readonly appeared: readonly { readonly rule: string; readonly alerts: number }[];
}

/** Events that alerted are kept for measuring each proposal alone. */
const keptMax = 50_000;

/** Runs events through the rules as they are and as they would be. */
export async function replay(
  tuned: Tuned,
  proposals: readonly Proposal[],
  batches: AsyncIterable<readonly string[]>,
): Promise<Replay> {
  const options = { hostname: "replay", ...tuned.engine.detector };
  const before = createEventStream(tuned.ruleset, options);
  const after = createEventStream(withProposals(tuned, proposals), options);
  const tally = new Tally(new Set(proposals.map(({ rule }) => rule)));
  for await (const batch of batches) {
    for (const event of singleEvents(batch)) tally.add(event, before.take(event), after.take(event));
  }
  tally.add("", before.end(), after.end());
  const removedBy = proposals.map((proposal) => removedAlone(tuned, proposal, tally));
  const appeared = [...tally.appeared].map(([rule, alerts]) => ({ rule, alerts }));
  const { events, before: old, after: now } = tally;
  return { events, before: old, after: now, removedBy, appeared };
}

class Tally {
  events: number;
  before: number;
  after: number;
  readonly appeared: Map<string, number>;
  /** Events that alerted; of a system call, which is more than one line, what the alert says. */
  readonly kept: string[];
  readonly keptFields: { rule: string; fields: AlertFields }[];
  private readonly rules: ReadonlySet<string>;

  constructor(rules: ReadonlySet<string>) {
    this.rules = rules;
    this.events = 0;
    this.before = 0;
    this.after = 0;
    this.appeared = new Map();
    this.kept = [];
    this.keptFields = [];
  }

  add(event: string, old: Detection, now: Detection): void {
    const tuned = old.alerts.filter(({ rule }) => this.rules.has(rule));
    this.events += old.events;
    this.before += tuned.length;
    this.after += now.alerts.filter(({ rule }) => this.rules.has(rule)).length;
    if (tuned.length > 0 && this.kept.length + this.keptFields.length < keptMax) {
      const isWhole = event !== "" && !isAuditRecord(event);
      if (isWhole) this.kept.push(event);
      else this.keptFields.push(...tuned.flatMap(({ body }) => parseAlert(body) ?? []));
    }
    const had = new Set(old.alerts.map(({ rule }) => rule));
    for (const { rule } of now.alerts) {
      if (!had.has(rule)) this.appeared.set(rule, (this.appeared.get(rule) ?? 0) + 1);
    }
  }
}

function removedAlone(tuned: Tuned, proposal: Proposal, { kept, keptFields }: Tally): number {
  const options = { hostname: "replay", ...tuned.engine.detector, ruleMatching: "all" } as const;
  const isIt = ({ name }: { readonly name: string }): boolean => name === proposal.rule;
  const old = createEventStream(keepRules(tuned.ruleset, isIt), options);
  const now = createEventStream(keepRules(withProposals(tuned, [proposal]), isIt), options);
  const fieldsOnly = keptFields.filter(
    ({ rule, fields }) => rule === proposal.rule && excuses(proposal, fields),
  );
  return (
    fieldsOnly.length +
    kept.filter((event) => old.take(event).alerts.length > now.take(event).alerts.length).length
  );
}
