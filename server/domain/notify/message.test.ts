import assert from "node:assert/strict";
import { test } from "node:test";

import { parseNetwork, type Network } from "../network.ts";
import { judgeAddress } from "./destination.ts";
import type { Entry } from "./group.ts";
import { linkOf } from "./link.ts";
import {
  alertmanagerBody,
  linesOf,
  pagerDutyBody,
  slackBody,
  subjectOf,
  textOfLines,
  webhookBody,
  type Message,
} from "./message.ts";
import { parseReceiver } from "./receiver.ts";

const home = "https://fleet.example.com:8443/";
const rendering = {
  at: (ms: number) => new Date(ms).toISOString(),
  link: (entry: Entry) => linkOf(home, entry),
};
const entry: Entry = {
  key: "k",
  kind: "alert",
  rule: "Exec",
  priority: 4,
  source: "k8s_audit",
  cluster: "eu-1",
  actor: "eve",
  subject: "",
  labels: { region: "eu", "example.com/owner": "sre", alertname: "forged" },
  summary: "sh in gateway-0",
  count: 3,
  firstMs: 1_000,
  lastMs: 2_000,
  seenMs: 2_000,
};
const message: Message = {
  id: "nd_1",
  org: "default",
  route: "soc",
  group: '["Exec","eu-1"]',
  labels: { rule: "Exec", cluster: "eu-1" },
  atMs: 3_000,
  untilMs: 60_000,
  firing: [entry],
  resolved: [],
  leftOut: 0,
};

test("Alertmanager gets alerts that last until they would be told again; no label of a cluster takes the place of the alert's own", () => {
  const [alert] = alertmanagerBody(message, rendering) as {
    labels: Record<string, string>;
    endsAt: string;
  }[];
  assert.equal(alert?.labels["alertname"], "Exec");
  assert.equal(alert?.labels["example_com_owner"], "sre");
  assert.equal(alert?.labels["severity"], "warning");
  assert.equal(alert?.endsAt, "1970-01-01T00:01:00.000Z");
  const over = { ...message, firing: [], resolved: [{ ...entry, kind: "state" as const, endedMs: 2_500 }] };
  assert.match(JSON.stringify(alertmanagerBody(over, rendering)), /"endsAt":"1970-01-01T00:00:02.500Z"/);
});

test("names that attackers choose mention nobody in Slack, make no links, and break no subject line", () => {
  const evil = {
    ...entry,
    rule: "Exec\r\nBcc: x@y",
    summary: "<!channel> <http://evil|safe> @here \u202e [ok](/x) https://evil",
  };
  const whole = JSON.stringify(slackBody({ ...message, firing: [evil] }, undefined, rendering));
  const ours = ` <${home}clusters/eu-1|open>`;
  assert.ok(whole.includes(ours), "only our own link is one");
  const text = whole.replaceAll(ours, "");
  assert.doesNotMatch(text, /<|@here|\u202e|\]\(|:\/\//);
  assert.match(text, /&lt;!channel&gt;/);
  assert.doesNotMatch(subjectOf({ ...message, firing: [evil] }), /[\r\n]/);
});

test("a message says what is worst, how often and where, and what it does not hold", () => {
  const many = Array.from({ length: 12 }, (_, i) => ({ ...entry, rule: `Rule ${i}`, cluster: `eu-${i}` }));
  const full = { ...message, firing: [{ ...entry, priority: 2 }, ...many], leftOut: 9 };
  assert.equal(subjectOf(full), "[Critical] 13 rules in 12 clusters");
  const lines = linesOf(full, rendering.link).map(({ text }) => text);
  assert.equal(lines[0], "Critical Exec in eu-1: sh in gateway-0 (eve) (3 times)");
  assert.deepEqual(lines.slice(-2), [
    "and 3 more",
    "9 occurrences are not in this message: there were too many different ones",
  ]);
});

test("PagerDuty gets one incident for a group, which ends when all of it is over, and nobody is paged for what only ended", () => {
  const event = (of: Message) =>
    pagerDutyBody(of, "key", "dedup", rendering) as Record<string, unknown> | undefined;
  assert.partialDeepStrictEqual(event(message), { event_action: "trigger", dedup_key: "dedup" });
  const over = { ...message, firing: [], resolved: [entry] };
  assert.equal(event(over)?.["event_action"], "resolve");
  assert.equal(event({ ...over, goesOn: true }), undefined);
  assert.equal(event({ ...over, firing: [entry], goesOn: true })?.["event_action"], "trigger");
});

test("a webhook gets every fact by name", () => {
  const body = webhookBody(message, rendering) as { firing: object[]; version: number };
  assert.equal(body.version, 1);
  assert.deepEqual(body.firing[0], {
    kind: "alert",
    rule: "Exec",
    priority: "Warning",
    source: "k8s_audit",
    cluster: "eu-1",
    actor: "eve",
    subject: "",
    labels: entry.labels,
    summary: "sh in gateway-0",
    count: 3,
    first: "1970-01-01T00:00:01.000Z",
    last: "1970-01-01T00:00:02.000Z",
    url: `${home}clusters/eu-1`,
  });
});

test("every body leads to the page about what it tells, and names the alert and the audit event", () => {
  const alert = { groupId: "gr_1", id: "ab12", auditId: "audit-7" };
  const named = { group_id: "gr_1", alert_id: "ab12", audit_id: "audit-7" };
  const told = { ...message, firing: [{ ...entry, alert }] };
  const page = `${home}alerts/gr_1?alert=ab12.2000`;
  const [first] = alertmanagerBody(told, rendering) as { annotations: object; generatorURL: string }[];
  assert.equal(first?.generatorURL, page);
  assert.deepEqual(first.annotations, { summary: entry.summary, count: "3", ...named });
  const hook = webhookBody(told, rendering) as { firing: Record<string, unknown>[] };
  assert.partialDeepStrictEqual(hook.firing[0], { url: page, ...named });
  const pager = pagerDutyBody(told, "key", "dedup", rendering) as {
    client_url: string;
    links: object[];
    payload: { custom_details: { alerts: object[] } };
  };
  assert.deepEqual([pager.client_url, pager.links], [page, [{ href: page, text: "Exec in eu-1" }]]);
  assert.deepEqual(pager.payload.custom_details.alerts, [named]);
  assert.match(
    JSON.stringify(slackBody(told, undefined, rendering)),
    / <https:[^ ]+\/alerts\/gr_1\?alert=ab12\.2000\|open>/,
  );
  assert.match(
    textOfLines(linesOf(told, rendering.link)),
    /\n {2}https:[^ ]+\/alerts\/gr_1\?alert=ab12\.2000\n$/,
  );
});

test("a state leads to its rollout or its cluster, and no name of a cluster ends a link", () => {
  const state = { ...entry, kind: "state" as const };
  assert.equal(linkOf(home, { ...state, rule: "Rollout paused", subject: "ro_1" }), `${home}rollouts/ro_1`);
  assert.equal(linkOf(home, { ...state, cluster: "", rule: "Metadata expiring", subject: "root" }), home);
  const evil = linkOf(home, { ...state, cluster: "x> <!here>|y) \ud800'\"/../alerts" });
  assert.match(evil.slice(home.length), /^clusters\/[\w%.-]+$/);
});

test("a receiver that cannot work is refused with every reason, and no secret is repeated", () => {
  const bad = parseReceiver({
    name: "Chat",
    kind: "slack",
    settings: { chanel: "x" },
    secrets: { url: "ftp://hooks.example/T0/s3cret" },
    perMinute: 10_000,
  });
  assert.ok(!bad.ok && bad.refusal.kind === "invalid");
  assert.deepEqual(
    bad.refusal.problems.map(({ field }) => field),
    ["name", "per_minute", "settings", "secrets.url"],
  );
  assert.doesNotMatch(JSON.stringify(bad), /s3cret/);
  const unsigned = {
    name: "hook",
    kind: "webhook",
    settings: { url: "https://a.example/x" },
    secrets: {},
    perMinute: 0,
  };
  assert.ok(!parseReceiver(unsigned).ok);
  assert.ok(parseReceiver({ ...unsigned, secrets: { hmac: "0123456789abcdef" } }).ok);
});

const inside = [
  "127.0.0.1",
  "0.0.0.0",
  "::1",
  "::ffff:127.0.0.1",
  "::ffff:7f00:1",
  "169.254.169.254",
  "fe80::1%eth0",
  "fd00:ec2::254",
  "100.100.100.200",
  "10.1.2.3",
  "172.31.0.1",
  "192.168.1.1",
  "100.64.0.1",
  "fd12::1",
  "64:ff9b::a00:1",
  "2002:7f00:1::",
  "224.0.0.1",
  "255.255.255.255",
];
for (const address of inside) {
  test(`judgeAddress() lets no message go to ${address}`, () => {
    assert.equal(judgeAddress(address, []).isAllowed, false);
  });
}

test("judgeAddress() lets messages go outside, and into networks that the operator opened, and no further", () => {
  const opened = [parseNetwork("10.1.0.0/16") as Network];
  assert.deepEqual(
    ["8.8.8.8", "2a00:1450::1", "10.1.2.3", "::ffff:10.1.2.3", "10.2.0.1"].map((address) => {
      const { isAllowed, isOpened } = judgeAddress(address, opened);
      return [isAllowed, isOpened];
    }),
    [
      [true, false],
      [true, false],
      [true, true],
      [true, true],
      [false, false],
    ],
  );
});
