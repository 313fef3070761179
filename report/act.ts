import { priorities, severity } from "./priority.ts";

/** An alert, as far as a report reads it. */
export interface ReportedAlert {
  readonly cluster: string;
  readonly rule: string;
  /** Falco's words. */
  readonly priority: string;
  readonly timeMs: number;
  /** Empty when it was raised by no audit event. */
  readonly auditId: string;
  readonly id: string;
  readonly output: string;
  /** Falco's JSON alert. */
  readonly body: string;
}

/** One thing that somebody did, whichever rules caught it. Texts are empty where no rule told them. */
export interface Act {
  readonly timeMs: number;
  readonly cluster: string;
  readonly namespace: string;
  /** The pod, secret, binding or other object that it was done to. */
  readonly object: string;
  readonly user: string;
  /** Whom the user impersonated. */
  readonly as: string;
  /** Where the request came from, proxies included. */
  readonly from: string;
  /** The command of an exec as one line, decoded. */
  readonly command: string;
  readonly uri: string;
  /** What the first rule said, for what has no command. */
  readonly output: string;
  /** The most severe one of its rules. */
  readonly priority: string;
  readonly rules: readonly string[];
}

/**
 * Gathers what was done from alerts that come in parts, so that nobody has to hold all of them: alerts of one audit event of a cluster
 * are one act.
 */
export interface Acts {
  add(alerts: readonly ReportedAlert[]): void;
  /** Oldest first. */
  list(): readonly Act[];
}

export function createActs(): Acts {
  const byEvent = new Map<string, Act>();
  return {
    add(alerts) {
      for (const alert of alerts) {
        const event = `${alert.cluster}\n${alert.auditId || alert.id}`;
        const [known, act] = [byEvent.get(event), actOf(alert)];
        byEvent.set(event, known === undefined ? act : joined(known, act));
      }
    },
    list: () => [...byEvent.values()].toSorted((a, b) => a.timeMs - b.timeMs),
  };
}

function joined(a: Act, b: Act): Act {
  const [first, second] = severity(b.priority) < severity(a.priority) ? [b, a] : [a, b];
  return {
    ...first,
    timeMs: Math.min(a.timeMs, b.timeMs),
    namespace: first.namespace || second.namespace,
    object: first.object || second.object,
    user: first.user || second.user,
    as: first.as || second.as,
    from: first.from || second.from,
    command: first.command || second.command,
    uri: first.uri || second.uri,
    rules: [...new Set([...a.rules, ...b.rules])].toSorted(),
  };
}

function actOf({ cluster, rule, priority, timeMs, output, body }: ReportedAlert): Act {
  const fields = fieldsOf(body);
  const text = (...names: readonly string[]) => names.map((name) => fields[name] ?? "").find(Boolean) ?? "";
  const uri = text("ka.uri");
  const path = pathOf(uri);
  return {
    timeMs,
    cluster,
    namespace: text("ka.target.namespace") || (path.namespace ?? ""),
    object: text("ka.target.name", "ka.resp.name") || (path.name ?? ""),
    user: text("ka.user.name"),
    as: text("ka.impuser.name"),
    from: addressesIn(text("jevt.value[/sourceIPs]", "ka.sourceips")),
    command: commandIn(uri) || text("ka.uri.param[command]"),
    uri,
    output: withoutTime(output),
    priority,
    rules: [rule],
  };
}

/** Falco begins an output with its time, in either form, and the priority, which are columns here; the same done again differs in nothing else. */
function withoutTime(output: string): string {
  const [start = "", priority = ""] = /^\S{1,40}: ([A-Z][a-z]+) /.exec(output) ?? [];
  return priorities.includes(priority) ? output.slice(start.length) : output;
}

/** The fields that the rule's output named. What Falco writes for one that the event lacks counts as absent. */
function fieldsOf(body: string): Readonly<Record<string, string>> {
  const fields = outputFields(body);
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => {
      const text = typeof value === "string" ? value : value === null ? "" : JSON.stringify(value);
      return text === "" || text === "<NA>" ? [] : [[name, text]];
    }),
  );
}

function outputFields(body: string): object {
  try {
    const alert: unknown = JSON.parse(body);
    const fields =
      typeof alert === "object" && alert !== null ? Reflect.get(alert, "output_fields") : undefined;
    return typeof fields === "object" && fields !== null ? fields : {};
  } catch {
    // The server stores what agents send; an alert that is no JSON is still one row, with its output.
    return {};
  }
}

/** Namespace and name in the path of a request for an object (Kubernetes API conventions). */
function pathOf(uri: string): { readonly namespace?: string; readonly name?: string } {
  const [, namespace, , name] = /\/namespaces\/([^/?]+)(?:\/([^/?]+)(?:\/([^/?]+))?)?/.exec(uri) ?? [];
  return {
    ...(namespace === undefined ? {} : { namespace: decoded(namespace) }),
    ...(name === undefined ? {} : { name: decoded(name) }),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The words of an exec's command, each a parameter of its own in the request, as a shell would take them again. */
export function commandIn(uri: string): string {
  const query = uri.slice(uri.indexOf("?") + 1);
  if (!uri.includes("?")) return "";
  return new URLSearchParams(query)
    .getAll("command")
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${quotedInCommand(word)}'`))
    .join(" ");
}

/** A text as it stands between the apostrophes of a shell's word. */
export function quotedInCommand(text: string): string {
  return text.replaceAll("'", `'\\''`);
}

/** Addresses in a list as Falco prints one, `["10.0.0.1","10.0.0.2"]` or `(10.0.0.1,10.0.0.2)`. */
function addressesIn(text: string): string {
  return text
    .split(/[^0-9A-Fa-f.:%]+/)
    .filter((word) => /[.:]/.test(word))
    .join(", ");
}
