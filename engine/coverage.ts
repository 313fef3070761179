import type { Check, Expression, Operand } from "./ast.ts";
import { canonical } from "./canonical.ts";
import { checksIn, fieldsIn, probe } from "./probe.ts";
import { type CompiledRule, emptyRuleSet, type RuleSet } from "./ruleset.ts";

/** What a request asks of the Kubernetes API; without a resource it asks for a path such as /healthz. */
export interface RequestKind {
  readonly verb: string;
  readonly resource: string;
  /** Empty for the resource itself. */
  readonly subresource: string;
}

/** Which enabled rules can fire for a kind of request, whatever the rest of the event says. */
export interface CoveredRequest extends RequestKind {
  /** Rules that ask for this resource or its like. */
  readonly specific: readonly string[];
  /** Rules that would fire for any resource, such as those about a user or a refused login. */
  readonly general: readonly string[];
}

/** Some resource that no rule can have thought of. */
const stranger = "falconry-no-such-resource";
const known: ReadonlySet<string> = new Set(["ka.verb", "ka.target.resource", "ka.target.subresource"]);

/** Finds for each kind of request the enabled rules about Kubernetes audit events that can fire. */
export function coverRequests(ruleset: RuleSet, requests: readonly RequestKind[]): readonly CoveredRequest[] {
  const rules = ruleset.compiled.filter(({ enabled, source }) => enabled && source === "k8s_audit");
  const reach = reachOf(rules);
  const verbs = [...new Set(requests.map(({ verb }) => verb))];
  const anywhere = new Map(
    verbs.map((verb) => [verb, new Set(reach({ verb, resource: stranger, subresource: "" }))]),
  );
  return requests.map((request) => {
    const here = reach(request);
    const elsewhere = anywhere.get(request.verb) ?? new Set();
    return {
      ...request,
      specific: here.filter((name) => !elsewhere.has(name)),
      general: here.filter((name) => elsewhere.has(name)),
    };
  });
}

/** Makes a function that names the rules which a request of some kind can fire. Rules ask much the same, and each question is asked once. */
function reachOf(rules: readonly CompiledRule[]): (request: RequestKind) => readonly string[] {
  const asked: Check[] = [];
  const placeOf = new Map<string, number>();
  const places = new Map<Check, number>();
  for (const check of rules.flatMap(({ condition }) => checksIn(condition)).filter(isDecidable)) {
    // A word may be written as a call is: `"val(ka.verb)"`.
    const text = `${check.right?.kind} ${canonical(check)}`;
    const place = placeOf.get(text) ?? asked.push(check) - 1;
    placeOf.set(text, place);
    places.set(check, place);
  }
  const probeEvent = probe(asked, "k8s_audit", emptyRuleSet, { hostname: "" }, []);
  return (request) => {
    const { verdicts } = probeEvent(eventOf(request));
    const verdictOf = (check: Check): boolean | undefined => {
      const place = places.get(check);
      return place === undefined ? undefined : verdicts[place];
    };
    return rules.filter(({ condition }) => truth(condition, verdictOf) !== false).map(({ name }) => name);
  };
}

/** A check that reads nothing but the kind of request has one answer for all events of that kind. */
function isDecidable(check: Check): boolean {
  const fields = fieldsIn(check);
  return fields.length > 0 && fields.every((field) => field.kind === "field" && isKnown(field));
}

function isKnown({ name, argument }: Operand): boolean {
  return known.has(name) && argument === undefined;
}

function eventOf({ verb, resource, subresource }: RequestKind): string {
  const objectRef = { resource, ...(subresource === "" ? {} : { subresource }) };
  return JSON.stringify({
    kind: "Event",
    auditID: "coverage",
    stageTimestamp: "2026-01-01T00:00:00Z",
    verb,
    ...(resource === "" ? {} : { objectRef }),
  });
}

/** Whether a condition holds when some of its checks are open: undefined when that depends on them. */
function truth(
  expression: Expression,
  verdictOf: (check: Check) => boolean | undefined,
): boolean | undefined {
  switch (expression.kind) {
    case "check":
      return verdictOf(expression);
    case "not": {
      const part = truth(expression.part, verdictOf);
      return part === undefined ? undefined : !part;
    }
    case "and":
    case "or": {
      const ending = expression.kind === "or";
      let isOpen = false;
      for (const part of expression.parts) {
        const value = truth(part, verdictOf);
        if (value === ending) return ending;
        isOpen ||= value === undefined;
      }
      return isOpen ? undefined : !ending;
    }
    case "identifier":
      return undefined;
  }
}
