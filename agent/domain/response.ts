/** What an agent may do about an alert. */
export type ResponseAction = "webhook" | "label" | "isolate" | "delete-pod";

/** What a signed bundle has agents do, as far as it is decided by. */
export interface ResponseRule {
  readonly name: string;
  readonly rules: readonly string[];
  readonly action: ResponseAction;
  /** False says only what would be done. */
  readonly enforce: boolean;
  /** How often within an hour for one rule. */
  readonly perHour: number;
  readonly url?: string;
}

/** What this node lets responses do, whatever anybody signed. */
export interface ResponseGrant {
  readonly actions: readonly ResponseAction[];
  /** Where pods may be touched. Protected ones are never among them, whatever stands here. */
  readonly namespaces: readonly string[];
  /** How often within an hour something may really be done to pods, all responses together; webhooks have as much again. */
  readonly perHour: number;
}

/** An alert, as far as a response looks at it. */
export interface AlertView {
  readonly id: string;
  readonly rule: string;
  /** Of the event. */
  readonly timeMs: number;
  /** The output fields of the alert. Attackers choose much of what is in them. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly rulesDigest: string;
}

/** What was decided of an alert, so that it is decided once. */
export interface Decided {
  readonly alertId: string;
  readonly policy: string;
  readonly rule: string;
  readonly action: ResponseAction;
  /** The pod it was about, as NAMESPACE/NAME; empty when there was none, or when nothing came of it. */
  readonly target: string;
  readonly kind: DecisionKind;
  readonly atMs: number;
}

export type DecisionKind = "act" | "dry-run" | "denied";

/** One thing to do, or not to do, and why. */
export interface Decision {
  readonly kind: DecisionKind;
  readonly alertId: string;
  readonly rule: string;
  readonly rulesDigest: string;
  readonly policy: string;
  readonly action: ResponseAction;
  readonly namespace: string;
  readonly pod: string;
  /** When the event was, by the clock of kube-apiserver. */
  readonly eventMs: number;
  readonly url?: string;
  /** Why it is denied; empty otherwise. */
  readonly why: string;
}

/** What came of an alert: what to do, what to remember, and what was left out in silence. */
export interface Decisions {
  readonly decisions: readonly Decision[];
  readonly ledger: readonly Decided[];
  /** Of an event that is too long ago, or beyond what is told within an hour. */
  readonly leftOut: number;
}

const hourMs = 3_600_000;
/** An alert about an older event is history: a log that is read from its start must not have pods deleted. */
export const ageMaxMs: number = 10 * 60_000;
const aheadMaxMs = 60_000;
/** Dry runs and what is denied are told at most so often within an hour. */
export const toldMax: number = 60;
/** Whether no response may ever touch a namespace: those that begin so are Kubernetes' own. */
export function isProtected(namespace: string): boolean {
  return namespace.startsWith("kube-");
}

/**
 * Decides what is done about an alert. Each policy decides about an alert once: what it decided is remembered for an hour,
 * and an event that is older than minutes is not looked at, so that neither a restart nor a log that is read again acts
 * twice. Real actions are bounded for each rule of a policy and for the node; what is only told has a bound of its own, and
 * what was refused never counts: anybody can make a request that is.
 */
export function decideResponses(
  alert: AlertView,
  policies: readonly ResponseRule[],
  known: readonly Decided[],
  grant: ResponseGrant,
  nowMs: number,
): Decisions {
  let ledger = known.filter(({ atMs }) => atMs > nowMs - hourMs);
  const decisions: Decision[] = [];
  let leftOut = 0;
  for (const policy of policies) {
    if (!policy.rules.includes(alert.rule)) continue;
    if (ledger.some((each) => each.alertId === alert.id && each.policy === policy.name)) continue;
    const isTimely = alert.timeMs > nowMs - ageMaxMs && alert.timeMs < nowMs + aheadMaxMs;
    const decision = isTimely ? decide(alert, policy, ledger, grant) : undefined;
    if (decision === undefined) {
      leftOut += 1;
      continue;
    }
    decisions.push(decision);
    const { alertId, rule, action, kind } = decision;
    const target = targetOf(decision);
    ledger = [...ledger, { alertId, policy: policy.name, rule, action, target, kind, atMs: nowMs }];
  }
  return { decisions, ledger, leftOut };
}

function decide(
  alert: AlertView,
  policy: ResponseRule,
  ledger: readonly Decided[],
  grant: ResponseGrant,
): Decision | undefined {
  const { name, action, url } = policy;
  const pod = podOf(alert.fields);
  const decision = {
    alertId: alert.id,
    rule: alert.rule,
    rulesDigest: alert.rulesDigest,
    policy: name,
    action,
    namespace: pod.namespace,
    pod: pod.name,
    eventMs: alert.timeMs,
    ...(url === undefined ? {} : { url }),
    why: "",
  };
  const told = ledger.filter(({ kind }) => kind !== "act").length;
  const why = denial(alert, policy, pod.problem, decision, ledger, grant);
  if (why === undefined && policy.enforce) return { ...decision, kind: "act" };
  if (told >= toldMax || (why !== undefined && isRepeat(decision, ledger))) return undefined;
  return why === undefined ? { ...decision, kind: "dry-run" } : { ...decision, kind: "denied", why };
}

/** Why nothing may be done; undefined when it may. */
function denial(
  alert: AlertView,
  policy: ResponseRule,
  podProblem: string | undefined,
  decision: Omit<Decision, "kind">,
  ledger: readonly Decided[],
  grant: ResponseGrant,
): string | undefined {
  const { action, namespace } = decision;
  const counted = ledger.filter(({ kind }) => kind === (policy.enforce ? "act" : "dry-run"));
  if (!grant.actions.includes(action)) return `the agent's allow-list does not permit ${action}`;
  if (action !== "webhook") {
    if (podProblem !== undefined) return podProblem;
    if (isProtected(namespace)) return `namespace ${namespace} is protected`;
    if (!grant.namespaces.includes(namespace)) {
      return `the agent's allow-list does not name namespace ${namespace}`;
    }
    if (isRepeat(decision, counted)) return "the same was done to this pod within the last hour";
  }
  const ofRule = counted.filter((each) => each.policy === policy.name && each.rule === alert.rule);
  if (ofRule.length >= policy.perHour) {
    return `response ${policy.name} acts for this rule ${policy.perHour} times an hour at most`;
  }
  // A webhook is sent about refused requests too, which anybody can make: it must not use up what pods need.
  const alike = counted.filter((each) => (each.action === "webhook") === (action === "webhook"));
  if (policy.enforce && alike.length >= grant.perHour) {
    const what = action === "webhook" ? "sends webhooks" : "acts on pods";
    return `this agent ${what} ${grant.perHour} times an hour at most`;
  }
  return undefined;
}

/** What lasts is done to a pod once an hour: repeating it would only use up what others may need. */
function isRepeat(decision: Omit<Decision, "kind">, ledger: readonly Decided[]): boolean {
  if (decision.action !== "label" && decision.action !== "isolate") return false;
  const target = targetOf(decision);
  const { policy, action } = decision;
  return ledger.some((each) => each.policy === policy && each.action === action && each.target === target);
}

/** The ledger after an action of which nothing came: it counts as often as it was tried, and may be tried again. */
export function withoutTarget(
  ledger: readonly Decided[],
  { alertId, policy }: Pick<Decision, "alertId" | "policy">,
): readonly Decided[] {
  return ledger.map((each) =>
    each.alertId === alertId && each.policy === policy ? { ...each, target: "" } : each,
  );
}

function targetOf({ namespace, pod }: Pick<Decision, "namespace" | "pod">): string {
  return pod === "" ? "" : `${namespace}/${pod}`;
}

const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const podPattern = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** The pod that an alert is about. A request that was refused did nothing to it, and anybody can make one. */
function podOf(fields: AlertView["fields"]): { namespace: string; name: string; problem?: string } {
  const text = (key: string) => {
    const value = fields[key];
    return typeof value === "string" || typeof value === "number" ? String(value) : "";
  };
  const [namespace, name] = [text("ka.target.namespace"), text("ka.target.name")];
  const none = { namespace: "", name: "" };
  if (text("ka.target.resource") !== "pods" || !namespacePattern.test(namespace) || !podPattern.test(name)) {
    return { ...none, problem: "the alert names no pod" };
  }
  const code = Number(text("ka.response.code"));
  if (!(code >= 100 && code < 400)) {
    return { namespace, name, problem: "the request was refused, or nothing says that it was not" };
  }
  return { namespace, name };
}
