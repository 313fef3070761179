import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ClusterHealth, ClusterSchema, RateSeriesSchema, RegionSummarySchema } from "#proto/fleet/v1/cluster";
import { Requirement_Operator as Operator, SelectorSchema } from "#proto/fleet/v1/common";
import { AlertCountSchema } from "#proto/fleet/v1/alert";
import { AlertGroupState } from "#proto/fleet/v1/alert_group";
import { may } from "./may.ts";
import {
  chosenText,
  fieldsOf,
  groupWish,
  notStoredOf,
  onlyGroups,
  stepsFor,
  withoutGroups,
} from "./alert-group.ts";
import { alertAddress, isNamed, parseAlertParam } from "./alert-link.ts";
import { diffLines, filesOf, hunks } from "./bundle.ts";
import { compareNames, eventsPerSecond, countHealth, sortClusters, totalOf } from "./fleet.ts";
import { deadCount } from "./notify.ts";
import { emptyColumns, reportKind, weeksOf } from "./report.ts";
import { responsesNote } from "./response.ts";
import { changesOf, rowsWith, rulesOf, sortRules, techniquesOf } from "./rules.ts";
import { groupMatchers, ownMatchers, parseWish, saysRuleOrActor } from "./match.ts";
import { bytesText, countText, digestText, lagText, rateText } from "./quantity.ts";
import { parseFilter, selectorText } from "./selector.ts";
import { keyStep, lastOf, pointText, reads, regionLine, sumLine } from "./series.ts";
import { agoText, lengthText, utcText } from "./time.ts";
import { healthWord, priorityTone, rolloutWord } from "./words.ts";

test("a filter is read as fleetctl reads -l, and bare words look for names", () => {
  const { selector, words, problem } = parseFilter(
    "checkout region=eu,team in (a, b), tier notin (x,y) env!=test, !old",
  );
  assert.equal(problem, "");
  assert.deepEqual(words, ["checkout"]);
  assert.deepEqual(selector.requirements, [
    { key: "region", operator: Operator.IN, values: ["eu"] },
    { key: "team", operator: Operator.IN, values: ["a", "b"] },
    { key: "tier", operator: Operator.NOT_IN, values: ["x", "y"] },
    { key: "env", operator: Operator.NOT_IN, values: ["test"] },
    { key: "old", operator: Operator.NOT_EXISTS, values: [] },
  ]);
  assert.equal(selectorText(selector), "region=eu,team in (a,b),tier notin (x,y),env!=test,!old");
});

test("a filter that is half typed says what is missing, and the labels before it still choose", () => {
  const { selector, problem } = parseFilter("region=eu,team in (a");
  assert.match(problem, /is neither part of a name nor a label/);
  assert.equal(selector.requirements.length, 1);
});

test("lengths of time take the two largest units, and clocks that differ make no negative ages", () => {
  const cases: [number, string][] = [
    [0, "0s"],
    [59_999, "59s"],
    [61_000, "1m1s"],
    [3_600_000, "1h"],
    [27_000_000, "7h30m"],
    [90_000_000_000, "1041d"],
    [-5, "0s"],
  ];
  for (const [ms, text] of cases) assert.equal(lengthText(ms), text);
  assert.equal(agoText(1_500, 1_000), "now");
  assert.equal(agoText(90_000, 0), "in 1m30s");
  assert.equal(utcText(0), "1970-01-01 00:00:00Z");
});

test("quantities keep three digits", () => {
  assert.deepEqual(
    [0, 9_999, 12_345, 700_000, 2_000_000n, 3_100_000_000].map((count) => countText(count)),
    ["0", "9,999", "12.3k", "700k", "2M", "3.1G"],
  );
  assert.deepEqual([0, 0.25, 49.6, 11_667].map(rateText), ["0/s", "0.3/s", "50/s", "11.7k/s"]);
  assert.deepEqual([12, 2_048, 5_000_000].map(bytesText), ["12 B", "2.00 KiB", "4.77 MiB"]);
  assert.deepEqual([40, 1_500, 600_000n].map(lagText), ["40 ms", "1.5 s", "10 min"]);
  assert.equal(digestText(`sha256:${"ab".repeat(32)}`), "abababababab");
});

const cluster = (name: string, region: string, health: ClusterHealth, events: bigint) =>
  create(ClusterSchema, { id: name, name, labels: { region }, health, rates: { events, seconds: 60 } });

const fleet = [
  cluster("eu-10", "eu", ClusterHealth.HEALTHY, 600n),
  cluster("eu-2", "eu", ClusterHealth.SILENT, 0n),
  cluster("eu-1", "eu", ClusterHealth.DEGRADED, 1200n),
  cluster("tr-1", "tr", ClusterHealth.UPDATING, 60n),
];

test("regions add up to the fleet, and their minutes to its line", () => {
  const eu = { healthy: 1, updating: 0, degraded: 2, silent: 3 };
  assert.deepEqual(countHealth([eu, eu]), { healthy: 2, updating: 0, degraded: 4, silent: 6 });
  assert.equal(totalOf([eu]), 6);
  assert.equal(eventsPerSecond(undefined), 0);
  const minutes = [10, 12].map((at) => ({ minute: timestampFromMs(at * 60_000), eventsPerSecond: 5 }));
  const region = create(RegionSummarySchema, { region: "eu", minutes });
  assert.deepEqual(regionLine([region, region], 3, 13 * 60_000 + 5_000).values, [10, undefined, 10]);
});

test("clusters are sorted by what is looked for first, and back", () => {
  const names = (isReversed: boolean, by: Parameters<typeof sortClusters>[1]) =>
    sortClusters(fleet, by, isReversed).map(({ name }) => name);
  assert.deepEqual(names(false, "name"), ["eu-1", "eu-2", "eu-10", "tr-1"]);
  assert.deepEqual(names(false, "health"), ["eu-2", "eu-1", "tr-1", "eu-10"]);
  assert.deepEqual(names(true, "events"), ["eu-2", "tr-1", "eu-10", "eu-1"]);
  assert.ok(compareNames("eu-2", "eu-10") < 0);
});

test("a minute without a report is a gap in a line, never a zero", () => {
  const minute = (at: number, events: bigint) => ({
    minute: timestampFromMs(at * 60_000),
    events,
    seconds: 60,
  });
  const series = [
    create(RateSeriesSchema, { rates: [minute(10, 60n), minute(12, 120n)] }),
    create(RateSeriesSchema, { rates: [minute(10, 60n)] }),
  ];
  const { values, minutesMs } = sumLine(series, 3, 13 * 60_000 + 5_000, reads.events);
  assert.deepEqual(values, [2, undefined, 2]);
  assert.deepEqual(minutesMs, [600_000, 660_000, 720_000]);
});

test("a line ends with the newest minute that was told while the next one is on its way, and with a gap when nobody reports any more", () => {
  const minutes = [11, 12].map((at) => ({ minute: timestampFromMs(at * 60_000), eventsPerSecond: 5 }));
  const endAt = (now: number) => {
    const line = regionLine([create(RegionSummarySchema, { minutes })], 3, now * 60_000);
    return pointText(line, lastOf(line), String);
  };
  assert.deepEqual([13.1, 14.9, 15.9, 16.9].map(endAt), Array<string>(4).fill("5 at 00:12 UTC"));
  assert.equal(endAt(17), "nothing reported at 00:16 UTC");
});

test("a state that only a newer server knows is shown as unknown", () => {
  assert.equal(healthWord(99 as ClusterHealth).text, "unknown");
  assert.equal(rolloutWord(99 as never).text, "unknown");
  assert.equal(priorityTone("Whatever"), "idle");
});

test("a comparison of texts changes the fewest lines and leaves out what is far from any change", () => {
  const before = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].join("\n");
  const diff = diffLines(before, before.replace("b\n", "").replace("i", "I"));
  const text = hunks(diff).map((line) => (line === "gap" ? "…" : `${line.kind[0]} ${line.text}`));
  assert.deepEqual(text, ["s a", "r b", "s c", "s d", "s e", "s f", "s g", "s h", "r i", "a I", "s j"]);
  assert.deepEqual(hunks(diffLines(before, before)), ["gap"]);
  const large = Array.from({ length: 3_000 }, (_, i) => `x${i}`).join("\n");
  assert.equal(diffLines(large, large.replaceAll("x", "y")).length, 6_000);
});

test("what is no bundle shows no files", () => {
  const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const layer = { level: "team", name: "search", files: [{ path: "s.yaml", content: "2" }] };
  const files = filesOf(bytes({ files: [{ path: "a.yaml", content: "1" }, { path: 7 }], layers: [layer] }));
  assert.deepEqual(
    files.map((file) => [file.layer, file.path]),
    [
      ["", "a.yaml"],
      ["team/search", "s.yaml"],
    ],
  );
  for (const bad of [bytes(null), bytes([1]), bytes({ files: "x" }), new Uint8Array([255])]) {
    assert.deepEqual(filesOf(bad), []);
  }
});

test("a filter of alerts hands matchers to the server as they are, and what is half typed asks for nothing", () => {
  const text = 'exec region=eu,rule="Exec into, a pod" ka.user.name=~`system:.*` priority>=warning';
  const wish = parseWish(text);
  assert.deepEqual(wish.words, ["exec"]);
  assert.equal(
    wish.matchers,
    'region=eu, rule="Exec into, a pod", ka.user.name=~`system:.*`, priority>=warning',
  );
  assert.equal(wish.problem, "");
  for (const half of ['rule="Exec in', "region=", "team in (a"]) {
    const { matchers, words, problem } = parseWish(`cluster=eu-1 ${half}`);
    assert.equal(matchers, "cluster=eu-1", half);
    assert.equal(problem === "", half === "region=", half);
    assert.deepEqual(words, [], half);
  }
});

test("a silence of groups begins with what they have in common: that no actor is named, too, and nothing with a group of many rules", () => {
  const group = { rule: 'a "b" \\ c', clusterName: "eu-1", actor: "*" };
  const nobody = { rule: "r", clusterName: "eu-1", actor: "" };
  assert.equal(groupMatchers([group]), String.raw`rule="a \"b\" \\ c", cluster="eu-1"`);
  assert.equal(groupMatchers([nobody]), 'rule="r", cluster="eu-1", actor=""');
  assert.equal(groupMatchers([nobody, { ...nobody, clusterName: "eu-2" }]), 'rule="r", actor=""');
  assert.equal(groupMatchers([nobody, group]), 'cluster="eu-1"');
  const rest = { rule: "*", clusterName: "eu-1", actor: "*" };
  for (const groups of [[rest], [nobody, rest], []]) assert.equal(groupMatchers(groups), "");
});

test("all alerts of a group are those of no other, so that one of many has no such link", () => {
  const named = { rule: "r", clusterName: "eu-1", actor: "" };
  assert.equal(ownMatchers(named), 'rule="r", cluster="eu-1", actor=""');
  assert.equal(ownMatchers({ ...named, actor: "*" }), undefined);
  assert.equal(ownMatchers({ ...named, rule: "*", actor: "*" }), undefined);
  assert.equal(parseWish(ownMatchers(named) ?? "").matchers, ownMatchers(named));
});

test("a silence that names no rule and nobody is asked for twice, however its matchers are written", () => {
  const narrow = [
    'rule="r"',
    "{actor=~`a|b`}",
    'cluster="eu-1", actor=""',
    "region=eu west,rule=Exec into a pod",
    'output="x, y", rule=r',
  ];
  for (const text of narrow) assert.equal(saysRuleOrActor(text), true, text);
  const wide = [
    'cluster="eu-1"',
    "priority>=warning",
    'rule!="r"',
    "cluster!=a rule=r",
    'output="a, rule=b"',
    "label.rule=x",
    "",
  ];
  for (const text of wide) assert.equal(saysRuleOrActor(text), false, text);
});

test("groups are offered the steps that all of them can take, and fields that are none show nothing", () => {
  const { OPEN, ACKNOWLEDGED, RESOLVED } = AlertGroupState;
  const verbs = (...states: AlertGroupState[]) => stepsFor(states).map(({ step }) => step);
  assert.deepEqual(verbs(OPEN), ["acknowledge", "resolve"]);
  assert.deepEqual(verbs(OPEN, ACKNOWLEDGED), ["resolve"]);
  assert.deepEqual(verbs(RESOLVED, OPEN), []);
  assert.deepEqual(verbs(), []);
  assert.deepEqual(groupWish("constructor").states, [OPEN, ACKNOWLEDGED]);
  assert.deepEqual(fieldsOf('{"a":"b","c":[1]}'), [
    ["a", "b"],
    ["c", "[1]"],
  ]);
  for (const bad of ["", "null", "7"]) assert.deepEqual(fieldsOf(bad), []);
});

test("of more groups than take a step together it is said which do, and the rest stays chosen", () => {
  assert.equal(chosenText(1, 0), "1 group chosen");
  assert.equal(chosenText(100, 0), "100 groups chosen");
  assert.equal(chosenText(130, 2), "The first 100 of 130 groups chosen; the filter hides 2 more");
  assert.equal(chosenText(0, 2), "2 groups chosen, which the filter hides");
  assert.deepEqual([...onlyGroups(new Set(["a", "gone"]), [{ id: "b" }, { id: "a" }])], ["a"]);
  const left = withoutGroups(new Set(["a", "b", "c"]), [{ id: "a" }, { id: "c" }, { id: "gone" }]);
  assert.deepEqual([...left], ["b"]);
});

test("rules are told as files say them, layers beside them, and their noise with what is not told", () => {
  const content = `
- macro: m
  condition: evt.type = x
- rule: Exec
  desc: d
  condition: m
  output: o
  priority: WARNING
  source: k8s_audit
  tags: [T1609, k8s]
- rule: Off
  desc: d
  condition: m
  output: o
  priority: notice
  enabled: false
  tags: [T1610]
`;
  const layer = { layer: "team/a", path: "l.yaml", content: "- rule: Exec\n  enabled: false\n" };
  const after = rulesOf([{ layer: "", path: "r.yaml", content }, layer]);
  assert.deepEqual(
    after.rules.map(({ name, priority, isEnabled, layers }) => [name, priority, isEnabled, layers]),
    [
      ["Exec", "Warning", true, ["team/a"]],
      ["Off", "Notice", false, []],
    ],
  );
  const before = rulesOf([{ layer: "", path: "r.yaml", content: content.replace("= x", "= y") }]);
  assert.deepEqual(changesOf(before, after), { added: [], removed: [], changed: ["macro m", "rule Exec"] });
  assert.match(rulesOf([{ layer: "", path: "r.yaml", content: "a: [" }]).problems[0] ?? "", /^r\.yaml: /);

  const rows = rowsWith(after.rules, [
    create(AlertCountSchema, { value: "Other", count: 7n, buckets: [3n, 4n] }),
  ]);
  assert.deepEqual(
    sortRules(rows, "noise").map(({ name, alerts }) => [name, alerts]),
    [
      ["Other", 7],
      ["Exec", 0],
      ["Off", 0],
    ],
  );
  assert.equal(rowsWith(after.rules, undefined)[0]?.alerts, undefined, "not told is not none");
  assert.deepEqual(techniquesOf(rows), [{ tag: "T1609", rules: 1, alerts: 0 }]);
});

test("weeks begin on Mondays, and a credential with a scope is shown nothing that takes the whole fleet", () => {
  const [last, now, before] = weeksOf(Date.UTC(2026, 10, 29, 12));
  assert.deepEqual([last?.value, now?.value, before?.value], ["", "2026-11-23", "2026-11-16"]);
  assert.equal((before?.untilMs ?? 0) - (before?.fromMs ?? 0), 7 * 86_400_000);
  assert.equal(reportKind("toString"), "exec");
  const scope = create(SelectorSchema, { requirements: [{ key: "team" }] });
  const whole = create(SelectorSchema, {});
  assert.equal(may({ role: "operator", scope: whole }, "schedules"), true);
  assert.equal(may({ role: "operator", scope }, "schedules"), false);
  assert.equal(may({ role: "operator", scope }, "operate"), true);
  assert.equal(may({ role: "operator", scope: whole }, "notifications"), true);
  assert.equal(may({ role: "operator", scope: whole }, "retry"), false);
  assert.equal(may({ role: "admin", scope }, "notifications"), false);
  assert.equal(may({ role: "viewer", scope: whole }, "operate"), false);
  assert.equal(may({ role: "approver", scope: whole }, "operate"), false);
  assert.equal(may({ role: "admin", scope }, "audit"), false);
});

test("an address of an alert names it with its time and cluster; an id alone is one, and other text is none", () => {
  const id = "0f".repeat(32);
  const address = alertAddress(id, timestampFromMs(1_790_000_000_123), "cl_1");
  const param = new URL(address, "https://console").searchParams.get("alert") ?? "";
  const name = parseAlertParam(param);
  assert.deepEqual(name, { id, timeMs: 1_790_000_000_123, clusterId: "cl_1" });
  assert.ok(name !== undefined);
  assert.equal(isNamed(name, { id, clusterId: "cl_2" }), false, "another cluster may have sent the same");
  assert.deepEqual(parseAlertParam(alertAddress(id, undefined, "cl_1").split("=")[1] ?? ""), { id });
  for (const odd of ["", "gr_1", id.slice(1), `${id}.x`, `${id}.1.<img>`]) {
    assert.equal(parseAlertParam(odd), undefined, odd);
  }
});

test("keys walk a line within its ends, and each minute says its value or that nobody reported", () => {
  const line = { minutesMs: [0, 60_000, 120_000], values: [1, undefined, 3] };
  assert.equal(pointText(line, 2, rateText), "3.0/s at 00:02 UTC");
  assert.equal(pointText(line, 1, rateText), "nothing reported at 00:01 UTC");
  const keys = ["ArrowLeft", "ArrowRight", "Home", "End", "PageUp", "PageDown"];
  assert.deepEqual(
    keys.map((key) => keyStep(key, 1, 2)),
    [0, 2, 0, 2, 2, 0],
  );
  assert.equal(keyStep("ArrowLeft", 0, 2), 0);
  assert.equal(keyStep("toString", 0, 2), undefined);
  assert.equal(lastOf(line), 2);
  assert.equal(
    lastOf({ minutesMs: [], values: [] }),
    0,
    "a line of no minutes has no place before the first",
  );
});

test("what was counted and not stored is told as at least when more groups follow than were read", () => {
  const page = { groups: [{ notStored: 2n }, { notStored: 40n }], nextPageToken: "" };
  assert.deepEqual(notStoredOf(page), { count: 42n, text: "42" });
  assert.equal(notStoredOf({ ...page, nextPageToken: "after:1" })?.text, "≥ 42");
  assert.equal(notStoredOf(undefined), undefined);
});

test("responses that were not looked at are not told as none, and those that are not shown are counted", () => {
  const read = { found: 0, shown: 20, looked: 200, isAll: false, isOfRule: true };
  assert.equal(
    responsesNote(read),
    "None of the newest 200 responses of the cluster was to an alert of this rule.",
  );
  assert.match(responsesNote({ ...read, isAll: true }) ?? "", /^No agent has done anything/);
  assert.equal(responsesNote({ ...read, found: 30 }), "The newest 20 of at least 30 responses.");
  assert.equal(responsesNote({ ...read, found: 30, isAll: true }), "The newest 20 of 30 responses.");
  assert.match(responsesNote({ ...read, found: 3 }) ?? "", /older ones were not looked at/);
  assert.equal(responsesNote({ ...read, found: 3, isAll: true }), undefined);
});

test("more dead letters than a list holds are counted, and a column that one row fills is not empty", () => {
  assert.equal(deadCount([{ dead: 900 }, { dead: 700 }], 1_000), 1_600);
  assert.equal(deadCount([], 3), 3);
  const rows = [{ cells: ["a", "", ""] }, { cells: ["b", "", "late"] }];
  assert.deepEqual(emptyColumns(["Who", "As", "From"], rows), ["As"]);
});
