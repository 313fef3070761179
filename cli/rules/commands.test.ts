import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { runCli, temporaryDirectory } from "../../test/support/run-cli.ts";

const rules = `
- macro: read
  condition: ka.verb in (get, list)
- rule: Secret Read
  desc: d
  condition: read and ka.target.resource = secrets
  output: Read (user=%ka.user.name namespace=%ka.target.namespace verb=%ka.verb)
  priority: WARNING
  source: k8s_audit
  tags: [mitre_credential_access, T1552.007]
- rule: Listed
  desc: d
  condition: ka.verb = list
  output: Listed (user=%ka.user.name)
  priority: NOTICE
  source: k8s_audit
`;
const event = (verb: string, user: string, namespace: string, resource = "secrets") =>
  JSON.stringify({
    kind: "Event",
    auditID: `${verb}-${user}-${namespace}`,
    stageTimestamp: "2026-01-01T00:00:00Z",
    verb,
    user: { username: user },
    objectRef: { resource, namespace },
  });
const robot = "system:serviceaccount:ci:deployer";
const log = [
  ...Array.from({ length: 6 }, () => event("get", robot, "build")),
  event("get", "mallory", "payments"),
  event("list", robot, "build", "pods"),
].join("\n");

interface Room {
  readonly folder: string;
  readonly run: (line: string, input?: string) => ReturnType<typeof runCli>;
}

/** A folder with rules and events, and a way to run commands in which `@x` is the path of the file x. */
async function room(t: TestContext, files: Readonly<Record<string, string>> = {}): Promise<Room> {
  const folder = await temporaryDirectory(t);
  const all = { "rules.yaml": rules, "events.log": log, ...files };
  for (const [name, text] of Object.entries(all)) await writeFile(join(folder, name), text);
  const argv = (line: string) =>
    line
      .split(" ")
      .map((word) => (word.startsWith("@") ? join(folder, word.slice(1)) : word.replaceAll("~", " ")));
  return { folder, run: (line, input) => runCli(argv(line), input === undefined ? {} : { input }) };
}

test("rules validate answers in one line as falco -V does, and --strict ends with 1 on a warning", async (t) => {
  const { run } = await room(t, {
    "unused.yaml": `${rules}- macro: nobody\n  condition: ka.verb = get\n`,
    "broken.yaml": rules.replace("read and", "unheard and"),
  });
  const fine = await run("rules validate @unused.yaml -o json");
  assert.equal(fine.code, 0);
  assert.equal(fine.out.trimEnd().split("\n").length, 1);
  const [result] = JSON.parse(fine.out).falco_load_results;
  assert.deepEqual(Object.keys(result), [
    "errors",
    "name",
    "schema_valid",
    "schema_warnings",
    "successful",
    "warnings",
  ]);
  assert.equal(result.warnings[0].code, "LOAD_UNUSED_MACRO");
  const strict = await run("rules validate @unused.yaml --strict");
  assert.equal(strict.code, 1);
  assert.match(strict.talk, /1 warning, and --strict allows none/);
  const broken = await run("rules validate @broken.yaml");
  assert.equal(broken.code, 1);
  assert.match(broken.out, /LOAD_ERR_VALIDATE[\s\S]*\^/);
});

test("rules run prints Falco's JSON lines alone on standard output, from a file and from standard input", async (t) => {
  const { run } = await room(t);
  const file = await run("rules run --rules @rules.yaml --events @events.log --hostname node-1");
  assert.equal(file.code, 0);
  const alerts = file.out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    alerts.map((alert) => alert.rule),
    [...Array.from({ length: 7 }, () => "Secret Read"), "Listed"],
  );
  assert.equal(alerts[0].hostname, "node-1");
  assert.match(file.talk, /^8 events in .*; 8 alerts \(7 Warning, 1 Notice\)\n/);
  const piped = await run("rules run --rules @rules.yaml --events - --hostname node-1", log);
  assert.equal(piped.out, file.out);
});

test("rules run takes several rules files, and matching, priority and selection change what fires", async (t) => {
  const { run } = await room(t, {
    "off.yaml": "- rule: Listed\n  enabled: false\n  override: { enabled: replace }\n",
  });
  const count = async (more: string, events = event("list", "a", "b")): Promise<number> => {
    const { out, talk, code } = await run(`rules run --events - -o json --rules @rules.yaml ${more}`, events);
    assert.equal(code, 0, talk);
    assert.equal(out.split("\n").length - 1, JSON.parse(talk).alerts);
    return JSON.parse(talk).alerts;
  };
  assert.equal(await count("--rule-matching first"), 1);
  assert.equal(await count("--rule-matching all"), 2);
  assert.equal(await count("--rule-matching all --minimum-priority warning"), 1);
  assert.equal(await count("--rule-matching all --disable tag=T1552.007"), 1);
  assert.equal(await count("--rule-matching all --disable * --enable Sec*"), 1);
  assert.equal(await count("@off.yaml --rule-matching all"), 1);
  const bad = await run("rules run --rules @rules.yaml --events @events.log --minimum-priority urgent");
  assert.equal(bad.code, 2);
  assert.match(bad.talk, /"urgent" is not a priority\n {2}try: .*Emergency, Alert/);
});

test("rules run goes on after lines that are no events, says why, and refuses rules that do not load", async (t) => {
  const { run } = await room(t, { "broken.yaml": "- rule: x\n" });
  const { code, out, talk } = await run(
    "rules run --rules @rules.yaml --events -",
    `${log}\nnonsense\n${log}`,
  );
  assert.equal(code, 0);
  assert.equal(out.split("\n").length - 1, 16);
  assert.match(talk, /cannot parse JSON[\s\S]*1 problem/);
  const broken = await run("rules run --rules @broken.yaml --events @events.log");
  assert.equal(broken.code, 1);
  assert.match(broken.talk, /The rules do not load:[\s\S]*broken\.yaml/);
});

test("rules run reads lines as Falco does, and says how to make them of a document over several lines", async (t) => {
  const pretty = JSON.stringify(JSON.parse(event("get", "a", "b")), undefined, 2);
  const { run } = await room(t);
  const { code, out, talk } = await run("rules run --rules @rules.yaml --events -", pretty);
  assert.deepEqual([code, out], [0, ""]);
  assert.match(talk, /Nothing in it was an event\. .*jq -c/);
});

test("rules run joins the records of a system call, also with rules and events of Kubernetes beside them", async (t) => {
  const call = [
    'type=SYSCALL msg=audit(1700000000.100:7): arch=c000003e syscall=59 success=yes exit=0 ppid=1 pid=2 auid=0 uid=0 gid=0 euid=0 comm="cat" exe="/bin/cat"',
    'type=EXECVE msg=audit(1700000000.100:7): argc=2 a0="cat" a1="/etc/shadow"',
  ].join("\n");
  const shadow =
    "- rule: Shadow\n  desc: d\n  condition: evt.type = execve and proc.args contains shadow\n  output: o %proc.cmdline\n  priority: INFO\n";
  const { run } = await room(t, { "both.yaml": rules + shadow, "call.log": call });
  const { out, talk } = await run(
    "rules run --rules @both.yaml --events -",
    `${event("get", "a", "b")}\n${call}`,
  );
  const fired = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    fired.map(({ rule, source }) => [rule, source]),
    [
      ["Secret Read", "k8s_audit"],
      ["Shadow", "syscall"],
    ],
    talk,
  );
  const why = await run("rules explain --rules @both.yaml --rule Shadow --event @call.log");
  assert.match(why.out, /^"Shadow" matches and raises an alert[\s\S]*proc\.args is "\/etc\/shadow"/);
});

test("rules explain shows what decided for people and for scripts", async (t) => {
  const { run } = await room(t, { "event.json": event("get", "a", "b", "pods") });
  const line = "rules explain --rules @rules.yaml --rule Secret~Read --event @event.json";
  const people = await run(line);
  assert.equal(people.code, 0, people.talk);
  assert.match(
    people.out,
    /^"Secret Read" does not match\.\n\nDecided by:\n {2}- ka\.target\.resource = secrets/,
  );
  assert.match(people.out, /\[macro read\]/);
  const script = JSON.parse((await run(`${line} -o json`)).out);
  assert.deepEqual(
    script.events[0].decided_by.map((part: { text: string; values: unknown }) => [part.text, part.values]),
    [["ka.target.resource = secrets", [{ field: "ka.target.resource", value: "pods" }]]],
  );
  const unknown = await run(line.replace("Secret~Read", "Secrets~Read"));
  assert.equal(unknown.code, 2);
  assert.match(unknown.talk, /No rule is called "Secrets Read"\n {2}try: --rule 'Secret Read'/);
});

test("rules diff tells what changed, with exit code 1 only when it is asked for", async (t) => {
  const { run } = await room(t, {
    "more.yaml": "- macro: read\n  condition: or ka.verb = watch\n  override: { condition: append }\n",
  });
  const line = "rules diff --old @rules.yaml --new @rules.yaml @more.yaml";
  const { code, out } = await run(line);
  assert.equal(code, 0);
  assert.match(out, /~ Secret Read\n {2}condition:\n {4}- .*\n {4}\+ .*ka\.verb = watch/);
  assert.equal((await run(`${line} --exit-code`)).code, 1);
  const same = await run("rules diff @rules.yaml @rules.yaml --exit-code");
  assert.deepEqual([same.code, same.out], [0, "The rules mean the same.\n"]);
  const one = await run("rules diff @rules.yaml");
  assert.equal(one.code, 2);
  assert.match(one.talk, /Two sets of rules are needed/);
});

test("rules coverage finds the tags and the resources that no rule asks for, with events where there are some", async (t) => {
  const { run } = await room(t);
  const { out } = await run("rules coverage @rules.yaml --events @events.log -o json");
  const { techniques, tacticsWithout, rulesWithout, resources } = JSON.parse(out);
  assert.deepEqual(techniques, [{ tag: "T1552.007", rules: ["Secret Read"] }]);
  assert.ok(tacticsWithout.includes("impact") && !tacticsWithout.includes("credential_access"));
  assert.deepEqual(rulesWithout, ["Listed"]);
  const of = (resource: string) => resources.find((one: { resource: string }) => one.resource === resource);
  assert.deepEqual(of("secrets").seen, ["get", "list"]);
  assert.deepEqual([of("pods").rules, of("pods").general, of("pods").eventsMissed], [[], ["list"], 1]);
  assert.match((await run("rules coverage @rules.yaml")).out, /Resources that no rule asks for:/);
});

const mustFire = (user: string) => `
rules: [rules.yaml]
tests:
  - name: a read by ${user}
    inline_events: [{ verb: get, user: { username: "${user}" }, objectRef: { resource: secrets, namespace: build } }]
    expect: { alerts: { Secret Read: 1 } }
`;

test("rules tune writes exceptions that load, and the replay shows that they remove just what repeats", async (t) => {
  const { run, folder } = await room(t, { "tests.yaml": mustFire("mallory") });
  await writeFile(
    join(folder, "alerts"),
    (await run("rules run --rules @rules.yaml --events @events.log")).out,
  );
  const tuned = await run(
    "rules tune --alerts @alerts --rules @rules.yaml --events @events.log --tests @tests.yaml",
  );
  assert.equal(tuned.code, 0, tuned.talk);
  assert.match(tuned.talk, /Replayed 8 events: 7 alerts of these rules before, 1 after/);
  assert.match(tuned.talk, /1 must-fire example tried, none is lost$/m);
  await writeFile(join(folder, "overrides.yaml"), tuned.out);
  const after = await run("rules run --rules @rules.yaml @overrides.yaml --events @events.log");
  const fired = after.out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).output_fields["ka.user.name"]);
  assert.deepEqual(fired, ["mallory", robot]);
});

test("rules tune withdraws an exception through which a must-fire example would be lost", async (t) => {
  const { run, folder } = await room(t, { "tests.yaml": mustFire(robot) });
  await writeFile(
    join(folder, "alerts"),
    (await run("rules run --rules @rules.yaml --events @events.log")).out,
  );
  const tuned = await run("rules tune --alerts @alerts --rules @rules.yaml --tests @tests.yaml");
  assert.equal(tuned.out, "");
  assert.match(tuned.talk, /withdrawn: it would lose .*tests\.yaml: a read by system:serviceaccount/);
});

test("rules tune works from alerts alone, and says that nothing proves it then", async (t) => {
  const { run, folder } = await room(t);
  await writeFile(
    join(folder, "alerts"),
    (await run("rules run --rules @rules.yaml --events @events.log")).out,
  );
  const { out, talk } = await run("rules tune --alerts @alerts");
  assert.match(out, new RegExp(`values:\\n +- \\["?${robot}"?, build, get\\]`));
  assert.match(talk, /No tests were given/);
  const idle = await run("rules tune --alerts @alerts --events @events.log");
  assert.equal(idle.code, 2);
  assert.match(idle.talk, /prove nothing without the rules/);
});

test("rules bench gives the rate of all rules and the cost of each", async (t) => {
  const { run } = await room(t);
  const { code, out } = await run("rules bench --rules @rules.yaml --events @events.log -o json");
  assert.equal(code, 0);
  const bench = JSON.parse(out);
  assert.ok(bench.eventsPerSecond > 0 && bench.jsonParse > 0);
  assert.deepEqual(
    bench.rules.map(({ rule, matches }: { rule: string; matches: number }) => [rule, matches]).toSorted(),
    [
      ["Listed", 1],
      ["Secret Read", 7],
    ],
  );
});

test("rules fields lists the fields of a source with their words, and refuses a source that is none", async (t) => {
  const { run } = await room(t);
  const { out } = await run("rules fields --source k8s_audit -o json");
  const { fields } = JSON.parse(out);
  assert.ok(fields.filter(({ name }: { name: string }) => name.startsWith("ka.")).length >= 100);
  assert.ok(fields.every(({ doc, type }: { doc: string; type: string }) => doc !== "" && type !== ""));
  const none = await run("rules fields --source nowhere");
  assert.equal(none.code, 2);
  assert.match(none.talk, /There is no source "nowhere"\n {2}try: --source with one of .*k8s_audit/);
});

test("rules test ends with the counts and writes a report for CI", async (t) => {
  const { run, folder } = await room(t, { "tests.yaml": mustFire("mallory").replace("Read: 1", "Read: 2") });
  const { code, out } = await run("rules test @tests.yaml --junit @report.xml");
  assert.equal(code, 1);
  assert.match(out, /Secret Read: fired once, should fire 2 times\n0 passed, 1 failed\n$/);
  assert.match(
    await readFile(join(folder, "report.xml"), "utf8"),
    /<testsuite name=".*" tests="1" failures="1"/,
  );
});
