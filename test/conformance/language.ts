import { createDetector, type DetectorOptions, loadRules, type LoadOptions, type LoadReport } from "#engine";

/** Loads texts as rules files, one after another. */
export function load(contents: readonly string[], options?: LoadOptions): LoadReport {
  return loadRules(
    contents.map((content, i) => ({ name: `${i}.yaml`, content })),
    options,
  );
}

/** One rule for audit events that is right but for what is given; `undefined` leaves a key out. */
export function rule(parts: Readonly<Record<string, unknown>> = {}): string {
  const whole = {
    rule: "r",
    desc: "d",
    condition: "ka.verb = create",
    output: "o",
    priority: "INFO",
    source: "k8s_audit",
  };
  return item({ ...whole, ...parts });
}

/** One item of a rules file. */
export const item = (parts: Readonly<Record<string, unknown>>): string => `- ${JSON.stringify(parts)}\n`;

/** For each file `ok`, or the code and message of its error. */
export function outcomes(report: LoadReport): readonly string[] {
  return report.results.map(({ errors: [error] }) =>
    error === undefined ? "ok" : `${error.code}: ${error.message}`,
  );
}

/** For each file the codes of its warnings. */
export function warnings(report: LoadReport): readonly (readonly string[])[] {
  return report.results.map((result) => result.warnings.map(({ code }) => code));
}

/** Expanded conditions by rule, in the order of evaluation. */
export function conditions(report: LoadReport): Readonly<Record<string, string>> {
  return Object.fromEntries(report.ruleset.rules.map(({ name, condition }) => [name, condition]));
}

/** An audit event with something in every corner that the tests look at. */
export const event = {
  kind: "Event",
  auditID: "id-1",
  stage: "ResponseComplete",
  verb: "create",
  stageTimestamp: "2024-01-02T03:04:05.678901Z",
  requestURI: "/api/v1/pods?command=%2Fbin%2Fsh&empty=",
  userAgent: "kubectl/v1.30 (linux/amd64)",
  user: { username: "Alice", groups: ["g1", "g2"] },
  objectRef: { resource: "pods", namespace: "n", name: "/etc/passwd" },
  responseStatus: { code: 403 },
  requestObject: { spec: { containers: [{ name: "a", image: "x:1" }] } },
};

/** Whether a rule with a condition fires on an event; the code of the error when it does not load. */
export function verdict(
  condition: string,
  given: unknown = event,
  options: Partial<DetectorOptions> = {},
): string {
  const report = load([rule({ condition })]);
  const [error] = report.results[0]?.errors ?? [];
  if (error !== undefined) return error.code;
  const detector = createDetector(report.ruleset, { hostname: "node-1", ...options });
  return detector.detect(JSON.stringify(given)).alerts.length > 0 ? "fires" : "silent";
}
