/** One test for a JUnit report. */
export interface JunitTest {
  readonly suite: string;
  readonly name: string;
  readonly failures: readonly string[];
  readonly seconds: number;
}

/** A JUnit report, as CI systems read it: one suite for each file, a failure for each test that failed. */
export function renderJunit(tests: readonly JunitTest[]): string {
  const suites = Map.groupBy(tests, ({ suite }) => suite);
  const lines = [...suites].flatMap(([name, of]) => [
    `  <testsuite ${attributes({ name, ...totals(of) })}>`,
    ...of.flatMap(renderTest),
    "  </testsuite>",
  ]);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${attributes({ name: "fleetctl rules test", ...totals(tests) })}>`,
    ...lines,
    "</testsuites>",
    "",
  ].join("\n");
}

function totals(tests: readonly JunitTest[]): Readonly<Record<string, string>> {
  return {
    tests: String(tests.length),
    failures: String(tests.filter(({ failures }) => failures.length > 0).length),
    errors: "0",
    time: tests.reduce((sum, { seconds }) => sum + seconds, 0).toFixed(3),
  };
}

function renderTest({ suite, name, failures, seconds }: JunitTest): readonly string[] {
  const open = `    <testcase ${attributes({ classname: suite, name, time: seconds.toFixed(3) })}`;
  if (failures.length === 0) return [`${open}/>`];
  const message = (failures[0] ?? "").split("\n", 1)[0] ?? "";
  return [
    `${open}>`,
    `      <failure ${attributes({ message })}>${escape(failures.join("\n"))}</failure>`,
    "    </testcase>",
  ];
}

function attributes(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key}="${escape(value).replaceAll("\n", "&#10;")}"`)
    .join(" ");
}

/** XML has no way to write most control characters, so they are shown as a question mark. */
function escape(text: string): string {
  return (
    text
      .toWellFormed()
      // oxlint-disable-next-line no-control-regex -- these are the ones that XML forbids
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "?")
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;")
      .replaceAll(">", "&gt;")
      .replaceAll('"', "&quot;")
  );
}
