import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { commandIn, createActs, type Act, type ReportedAlert } from "./act.ts";
import { actsJson, rowsOf, sheetOf, type ActsReport } from "./acts-report.ts";
import { coverageSheet, rolloutsSheet, sheetJson } from "./fleet-reports.ts";
import { redact, redactClusters, redactRollouts } from "./redact.ts";
import * as sheets from "./sheet.ts";

const startMs = Date.UTC(2022, 2, 18, 9, 54, 32);
const path = "/api/v1/namespaces/zeus/pods/gateway-0/exec";
// A request as a terminal in Lens makes it, from a weekly report of people who do this by hand.
const uri = `${path}?command=sh&command=-c&command=clear%3B+%28bash+%7C%7C+ash+%7C%7C+sh%29&container=main&tty=true`;

function alert(
  more: Partial<ReportedAlert> = {},
  fields: Readonly<Record<string, unknown>> = {},
): ReportedAlert {
  const output_fields = {
    "ka.user.name": "mallory",
    "ka.impuser.name": "<NA>",
    "ka.target.name": "gateway-0",
    "ka.target.namespace": "zeus",
    "ka.uri": uri,
    "jevt.value[/sourceIPs]": '["203.0.113.7","10.0.0.1"]',
    ...fields,
  };
  return {
    cluster: "eu-1",
    rule: "Exec Into Pod",
    priority: "Warning",
    timeMs: startMs,
    auditId: "a1",
    id: "0".repeat(64),
    output: "A command ran inside a pod",
    body: JSON.stringify({ output_fields }),
    ...more,
  };
}

function actsOf(alerts: readonly ReportedAlert[]): readonly Act[] {
  const acts = createActs();
  acts.add(alerts);
  return acts.list();
}

function reportOf(alerts: readonly ReportedAlert[]): ActsReport {
  const acts = actsOf(alerts);
  const rows = rowsOf(acts);
  const from = { fromMs: startMs - 1, untilMs: startMs + 1, clusters: "region=eu" };
  const counted = { rows, acts: acts.length, alerts: alerts.length, isCut: false, notStored: 0 };
  return { title: "Who", ...from, ...counted };
}

const renderCsv = (report: ActsReport) => sheets.renderCsv(sheetOf(report));
const renderMarkdown = (report: ActsReport) => sheets.renderMarkdown(sheetOf(report));
const renderHtml = (report: ActsReport) => sheets.renderHtml(sheetOf(report));

test("an exec is told with its command decoded, who ran it, in which pod and from where", () => {
  const [act] = actsOf([alert()]);
  assert.equal(act?.command, "sh -c 'clear; (bash || ash || sh)'");
  const { object, namespace, cluster, user, as, from } = act ?? {};
  assert.deepEqual(
    [object, namespace, cluster, user, as, from],
    ["gateway-0", "zeus", "eu-1", "mallory", "", "203.0.113.7, 10.0.0.1"],
  );
});

test("a command comes out so that a shell takes the same words again, also with quotes and broken escapes", () => {
  assert.equal(commandIn("/x?command=echo&command=it%27s&command="), `echo 'it'\\''s' ''`);
  assert.equal(commandIn("/x?command=%zz&command=ls"), "%zz ls");
  assert.equal(commandIn("/x"), "");
});

test("what a rule does not name is taken from the path of the request, and nothing is made up", () => {
  const absent = { "ka.target.name": "<NA>", "ka.target.namespace": null, "jevt.value[/sourceIPs]": "<NA>" };
  const [act] = actsOf([alert({}, absent)]);
  assert.deepEqual([act?.object, act?.namespace, act?.from], ["gateway-0", "zeus", ""]);
  const [bare] = actsOf([alert({ body: "no json" })]);
  assert.deepEqual([bare?.user, bare?.uri, bare?.output], ["", "", "A command ran inside a pod"]);
});

test("two rules that catch one event are one act with the worse priority; the same command again is counted", () => {
  const worse = { rule: "Credentials Read By Exec", priority: "Critical" };
  const rows = rowsOf(
    actsOf([
      alert(),
      alert(worse, { "ka.uri": "<NA>" }),
      alert({ auditId: "a2", timeMs: startMs + 60_000 }),
      alert({ auditId: "a1", cluster: "us-1" }),
    ]),
  );
  assert.deepEqual(
    rows.map(({ cluster, priority, count, rules }) => [cluster, priority, count, rules]),
    [
      ["eu-1", "Critical", 2, ["Credentials Read By Exec", "Exec Into Pod"]],
      ["us-1", "Warning", 1, ["Exec Into Pod"]],
    ],
  );
  assert.deepEqual([rows[0]?.firstMs, rows[0]?.timeMs], [startMs, startMs + 60_000]);
});

test("what has no command is told by its rule, and counts as the same although Falco writes the time into the words", () => {
  const read = (auditId: string, output: string) => alert({ auditId, output }, { "ka.uri": "<NA>" });
  const rows = rowsOf(
    actsOf([
      read("a1", "09:54:32.000000000: Warning A person read a secret (user=mallory)"),
      read("a2", "2022-03-18T09:55:01.000000000+0000: Critical A person read a secret (user=mallory)"),
      read("a3", "note: Nothing of the kind"),
    ]),
  );
  assert.deepEqual(
    rows.map(({ output, count }) => [output, count]),
    [
      ["A person read a secret (user=mallory)", 2],
      ["note: Nothing of the kind", 1],
    ],
  );
});

test("what is redacted is nowhere in any format, and equal names stay equal", () => {
  const acts = actsOf([alert(), alert({ auditId: "a2" }, { "ka.user.name": "eve", "ka.uri": path })]);
  const rows = rowsOf(redact(acts, new Set(["user", "address", "object", "namespace"])));
  const report = { ...reportOf([alert()]), rows };
  for (const text of [renderCsv(report), renderMarkdown(report), renderHtml(report), JSON.stringify(rows)]) {
    assert.doesNotMatch(text, /mallory|eve\b|203\.0\.113\.7|gateway|zeus/);
    assert.match(text, /user 1/);
  }
  assert.deepEqual(new Set(rows.map(({ object }) => object)), new Set(["object 1"]));
  assert.deepEqual(new Set(rows.map(({ user }) => user)), new Set(["user 1", "user 2"]));
});

test("a covered name is covered in a command as well, however it is written there, and nothing else of the command is", () => {
  const users = ["alice@example.com", "mallory", "system:serviceaccount:zeus:robot", "ali"];
  const run = (auditId: string, user: string, ...words: readonly string[]) => {
    const query = words.map((word) => `command=${encodeURIComponent(word)}`).join("&");
    return alert({ auditId }, { "ka.user.name": user, "ka.uri": `${path}?${query}` });
  };
  const acts = actsOf([
    run("a1", users[0] ?? "", "su", "mallory", "-c", "chown alice:alice /home/alice/alice.txt; id malloryx"),
    run("a2", users[1] ?? "", "curl", "--user=ali:x", "http://10.0.0.1:80/alice@example.com?as=mallory."),
    run("a3", users[2] ?? "", "kubectl", "--as=system:serviceaccount:zeus:robot", "get", "robot"),
    run("a4", users[3] ?? "", "salient"),
  ]);
  const commands = redact(acts, new Set(["user", "address"])).map(({ command }) => command);
  assert.deepEqual(commands, [
    "su user 2 -c 'chown user 1:user 1 /home/user 1/user 1.txt; id malloryx'",
    "curl --user=user 4:x 'http://address 1:80/user 1?as=user 2.'",
    "kubectl --as=user 3 get robot",
    "salient",
  ]);
});

test("a name of any letters is covered in a command, whatever its case and what stands around it", () => {
  const path = "/api/v1/namespaces/zeus/pods/gateway-0/exec";
  const commandFor = (user: string, command: string): string | undefined => {
    const uri = `${path}?command=${encodeURIComponent(command)}`;
    const acts = actsOf([alert({}, { "ka.user.name": user, "ka.uri": uri })]);
    return redact(acts, new Set(["user"]))[0]?.command;
  };
  const cases = [
    ["alice+ops@example.com", "x alice+ops@example.com,ALICE+Ops@Example.com;", "'x user 1,user 1;'"],
    ["alice+ops@example.com", "chown alice+ops:alice_x /home/alice", "'chown user 1:user 1_x /home/user 1'"],
    ["https://issuer.example#1234", "t=https://issuer.example#1234&", "'t=user 1&'"],
    [
      "DOMAIN\\alice",
      "net user DOMAIN\\alice domain\\Alice alice malice",
      "'net user user 1 user 1 user 1 malice'",
    ],
    ["arn:aws:iam::1:user/alice", "[arn:aws:iam::1:user/alice] su Alice", "'[user 1] su user 1'"],
    ["o'neil", "su o'neil", "'su user 1'"],
    ["Åsa Öberg", "mail åsa öberg Åsa Öbergs", "'mail user 1 Åsa Öbergs'"],
    ["-x", "a --x", "'a -user 1'"],
    ["a".repeat(5_000), `su ${"a".repeat(5_000)}`, "'su user 1'"],
  ] as const;
  for (const [user, command, shown] of cases) assert.equal(commandFor(user, command), shown, user);
});

test("of names that begin alike the longest is covered, and each by its own, however many there are", () => {
  const users = Array.from({ length: 2_000 }, (_, i) => `arn:aws:iam::1:user/team.${i}`);
  const acts = users.map((user, i) => {
    const command = encodeURIComponent(`${users[(i + 1) % users.length]}.x`);
    const fields = { "ka.user.name": user, "ka.uri": `/x?command=${command}` };
    return alert({ auditId: `a${i}`, timeMs: startMs + i }, fields);
  });
  const covered = redact(actsOf(acts), new Set(["user"]));
  assert.deepEqual(
    covered.map(({ command }) => command),
    users.map((_, i) => `user ${((i + 1) % users.length) + 1}.x`),
  );
});

test("a report of rollouts without users names nobody: not who began, and not who stopped, took, approved or froze", () => {
  const rollout = { id: "ro_1", kind: "rules", bundle: "b@1", state: "paused", proved: 0, clusters: 1 };
  const covered = (because: string) =>
    redactRollouts(
      [{ ...rollout, by: "ada@example.com", startedMs: startMs, because }],
      new Set(["user"]),
    )[0];
  const reasons = [
    ["paused by bob@example.com", "paused by …"],
    ["resumed by bob; 2 failed clusters are tried again", "resumed by …"],
    ["aborted by bob; ada@example.com; 3 clusters that had not proved are sent back", "aborted by …"],
    ["rejected by bob: carol asked\nfor it", "rejected by …"],
    ["approved by bob, carol; begins 2026-11-29 13:00 UTC", "approved by …"],
    ["begins, approved by bob", "begins, approved by …"],
    ["undone: 2 of 3 clusters are sent back (by bob)", "undone: 2 of 3 clusters are sent back (by …"],
    [
      "bob by the sea took the plan as it is now; takes an approval",
      "… took the plan as it is now; takes an approval",
    ],
    [
      `"eu" does not begin: the fleet is frozen by bob (carol is away)`,
      `"eu" does not begin: the fleet is frozen by …`,
    ],
    [`gate "alerts": ada saw 7 more alerts`, `gate "alerts": user 1 saw 7 more alerts`],
  ] as const;
  for (const [because, shown] of reasons) assert.equal(covered(because)?.because, shown);
  assert.equal(covered("")?.by, "user 1");
  const open = { ...rollout, by: "ada", startedMs: startMs, because: "paused by bob" };
  assert.deepEqual(redactRollouts([open], new Set()), [open]);
});

test("a report of clusters covers the names that it has", () => {
  const cluster = { region: "eu", environment: "", team: "", agents: 1, rules: "", shipper: "" };
  const named = ["eu-1", "eu-2"].map((name) => ({ ...cluster, name, health: "healthy" }));
  assert.deepEqual(
    redactClusters(named, new Set(["cluster"])).map(({ name }) => name),
    ["cluster 1", "cluster 2"],
  );
});

test("no cell of a CSV begins a formula, with a comma, a semicolon or a tab as the separator", () => {
  const formula = fc.constantFrom("=", "+", "-", "@", "＝", "＋", "－", "＠");
  const before = fc.constantFrom(
    "",
    ";",
    "x;",
    "x; ",
    'x;"',
    'x";"',
    "\t",
    "x\t",
    "\n",
    "x;\n",
    " ",
    "\r",
    "';",
    ";;",
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(before, formula), { minLength: 1, maxLength: 4 }), (parts) => {
      const evil = parts.map(([lead, sign]) => `${lead}${sign}HYPERLINK("x")`).join("");
      const csv = renderCsv(reportOf([alert({}, { "ka.user.name": evil, "ka.target.name": evil })]));
      for (const line of csv.split("\r\n")) {
        for (const separator of [",", ";", "\t"]) {
          for (const cell of line.split(separator)) assert.doesNotMatch(cell, /^[\s"]*[=+\-@＝＋－＠]/);
        }
      }
    }),
  );
  const seeds = reportOf([alert({}, { "ka.user.name": "x;=HYPERLINK(1)" })]);
  assert.match(renderCsv(seeds), /,"x;'=HYPERLINK\(1\)",/);
});

test("files that are forwarded hold the request, and no column of nothing where it is left out", () => {
  const acts = actsOf([alert()]);
  const report = reportOf([alert()]);
  const covered = { ...report, rows: rowsOf(redact(acts, new Set(["user"]))) };
  for (const render of [renderMarkdown, renderHtml]) {
    assert.match(render(report), /URI/);
    assert.match(render(report), /gateway-0\/exec\?command=sh/);
    assert.doesNotMatch(render(covered), /URI/);
  }
});

test("names that attackers choose steer no spreadsheet, browser or Markdown reader", () => {
  const evil = {
    "ka.user.name": '=HYPERLINK("http://x")',
    "ka.target.name": "<script>alert(1)</script>|x",
    "ka.target.namespace": "[a](http://evil)\nb",
  };
  const report = reportOf([alert({}, evil)]);
  const csv = renderCsv(report).split("\r\n")[1] ?? "";
  assert.match(csv, /"'=HYPERLINK\(""http:\/\/x""\)"/);
  const html = renderHtml(report);
  assert.doesNotMatch(html, /<script>/);
  assert.match(html, /&lt;script&gt;alert\(1\)&lt;\/script&gt;\|x/);
  const markdown = renderMarkdown(report).split("\n")[6] ?? "";
  assert.match(markdown, /\\<script\\>alert\(1\)\\<\/script\\>\\\|x/);
  assert.match(markdown, /\\\[a\\\]\(http&#58;\/\/evil\) b/);
});

test("a quiet week is a report that says so", () => {
  const report = reportOf([]);
  assert.match(renderMarkdown(report), /Nothing was caught\.\n\n0 rows, 0 acts, 0 alerts/);
  assert.match(renderHtml(report), /Nothing was caught\./);
  assert.equal(renderCsv(report).split("\r\n").length, 2);
});

const week = { fromMs: startMs, untilMs: startMs + 7 * 86_400_000, clusters: "" };

test("a report of rollouts tells those first that stopped or went back, and none that was over before", () => {
  const rollout = { kind: "rules", bundle: "starter@1.0.0", proved: 2, clusters: 3, by: "ada", because: "" };
  const day = (n: number) => startMs + n * 86_400_000;
  const sheet = rolloutsSheet(
    [
      { ...rollout, id: "old", state: "succeeded", startedMs: day(-3), endedMs: day(-1) },
      { ...rollout, id: "long", state: "running", startedMs: day(-3) },
      { ...rollout, id: "new", state: "succeeded", startedMs: day(2), endedMs: day(3) },
      {
        ...rollout,
        id: "bad",
        state: "rolled-back",
        startedMs: day(1),
        endedMs: day(1),
        because: "gate alerts",
      },
    ],
    week,
    false,
  );
  assert.deepEqual(
    sheetJson(sheet).rows.map(({ id, proved, because }) => [id, proved, because]),
    [
      ["bad", "2/3", "gate alerts"],
      ["new", "2/3", ""],
      ["long", "2/3", ""],
    ],
  );
  assert.equal(sheet.summary, "3 rollouts, 1 of them stopped or went back");
});

test("a report of coverage tells those clusters first that nobody watches, and counts no unproved one as good", () => {
  const cluster = {
    region: "eu",
    environment: "prod",
    team: "",
    agents: 1,
    rules: "starter@1.0.0",
    shipper: "",
  };
  const sheet = coverageSheet(
    [
      { ...cluster, name: "a", health: "healthy", alerts: 4 },
      { ...cluster, name: "b", health: "silent", heardMs: startMs },
      { ...cluster, name: "c", health: "healthy", rules: "" },
    ],
    week,
    0,
  );
  assert.deepEqual(
    sheet.rows.map(({ cells, isBad }) => [cells[0], isBad]),
    [
      ["b", true],
      ["c", true],
      ["a", false],
    ],
  );
  assert.equal(sheet.summary, "1 of 3 clusters healthy and proved to run rules");
});

test("a report says how many alerts are missing from it because they were counted and not stored, and calls nothing quiet then", () => {
  const lack = /Up to 20134 more alerts were counted and not stored, beyond the bounds of their clusters/;
  for (const alerts of [[alert()], []]) {
    const report = { ...reportOf(alerts), notStored: 20_134 };
    for (const text of [renderMarkdown(report), renderHtml(report), sheetOf(report).summary]) {
      assert.match(text, lack);
      assert.doesNotMatch(text, /Nothing was caught|Nothing of what was caught/);
    }
    assert.equal(actsJson(report).notStored, 20_134);
  }
  const cut = sheetOf({ ...reportOf([alert()]), isCut: true, notStored: 1 }).summary;
  assert.match(
    cut,
    /1 row, 1 act, 1 alert\. There were more alerts than are read: .*\. Up to 1 more alert was counted/,
  );
  const { summary } = coverageSheet([], week, 20_134);
  assert.match(summary, lack);
  assert.match(summary, /those of retired clusters are among them/);
});
