import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test, type TestContext } from "node:test";

import { ConnectError } from "@connectrpc/connect";

import { parseScope, wholeFleet, type Scope } from "../../domain/scope.ts";
import { startTestServer, type TestServer } from "../../testing.ts";
import { cutLate } from "./api.ts";
import { ask, beganMs, falcoLine, morning, storeClusters, storeSeen, type Answered } from "./fixture.ts";
import { queryLimits, type QueryLimits } from "./reading.ts";
import { requests } from "./requests.ts";

const ns = (seconds: number) => `${beganMs + 1000 * seconds}000000`;
const span = { start: ns(0), end: ns(300) };
const second = beganMs / 1000;

function scopeOf(key: string, value: string): Scope {
  const scope = parseScope("scope", [{ key, operator: "in", values: [value] }]);
  assert.ok(scope.ok);
  return scope.value;
}

type Params = Readonly<Record<string, string | readonly string[]>>;

/** What of Loki's answers the tests look at. */
interface Data {
  readonly resultType: string;
  readonly result: readonly {
    readonly stream?: Readonly<Record<string, string>>;
    readonly metric?: Readonly<Record<string, string>>;
    readonly values?: readonly (readonly [string | number, string])[];
    readonly value?: readonly [number, string];
  }[];
}

interface World {
  readonly at: TestServer;
  readonly get: (path: string, params?: Params, scope?: Scope) => Promise<Answered>;
  /** What an answer that must be one holds. */
  readonly data: <T = Data>(path: string, params?: Params, scope?: Scope) => Promise<T>;
}

async function startWorld(t: TestContext): Promise<World> {
  const at = await startTestServer(t);
  await storeClusters(at.db);
  await storeSeen(at.db, morning);
  const get: World["get"] = async (path, params = span, scope = wholeFleet) =>
    ask(at, path, params, `Bearer ${await at.token("viewer", scope)}`);
  return {
    at,
    get,
    data: async (path, params, scope) => {
      const { status, text } = await get(path, params, scope);
      assert.equal(status, 200, text);
      const body = JSON.parse(text) as { status: string; data: never };
      assert.equal(body.status, "success");
      return body.data;
    },
  };
}

/** The values of series by one of their labels. */
function byLabel({ result }: Data, name: string): unknown {
  return Object.fromEntries(
    result.map(({ metric = {}, values, value }) => [metric[name] ?? "", values ?? value]),
  );
}

test("Grafana reads alerts from the server as it reads Loki", async (t) => {
  const world = await startWorld(t);
  await t.test('"Save and test" gets the 2 that it wants', () => savesAndTests(world));
  await t.test("log queries give Falco's lines by stream, newest first", () => readsLines(world));
  await t.test("what is in a line narrows, in the store and out of it", () => narrows(world));
  await t.test("counts over time are those of the alerts, at every step", () => counts(world));
  await t.test("labels, values and streams are those that have alerts", () => lists(world));
  await t.test("Explore and Drilldown find labels, fields and their values, and no patterns", () =>
    detects(world),
  );
  await t.test("a team sees its clusters alone, in lines, counts, labels and streams", () => scopes(world));
  await t.test("who may not read alerts reads none, and Basic is as good as Bearer", () => doors(world));
  await t.test("a form says the same as a path", () => forms(world));
  await t.test("what cannot be answered is said, in Loki's way", () => refuses(world));
  await t.test("a query stops at each of its bounds, with a sentence that says which", () => stops(world));
});

async function savesAndTests({ data, get }: World): Promise<void> {
  const found = await data("query", { query: "vector(1)+vector(1)", time: "4000000000" });
  assert.deepEqual(
    [found.resultType, found.result],
    ["vector", [{ metric: {}, value: [4_000_000_000, "2"] }]],
  );
  const built = JSON.parse((await get("status/buildinfo")).text) as { version: string };
  assert.match(built.version, /^\d+\.\d+\.\d+/);
}

async function readsLines({ data }: World): Promise<void> {
  const found = await data("query_range", { ...span, query: '{source="falco", cluster="eu-1"}' });
  assert.equal(found.resultType, "streams");
  const [first] = found.result.filter(({ stream }) => stream?.["rule"] === "Exec into pod");
  assert.deepEqual(first, {
    stream: {
      job: "falconry",
      source: "falco",
      rule: "Exec into pod",
      priority: "Warning",
      cluster: "eu-1",
      region: "eu",
      team: "pay",
      environment: "production",
    },
    values: [1, 0].map((index) => {
      const seen = morning[index];
      assert.ok(seen);
      return [ns(seen.seconds), falcoLine(seen)];
    }),
  });
  const forward = await data("query_range", {
    start: String(second),
    end: new Date(beganMs + 190_000).toISOString(),
    query: '{job="falconry"}',
    direction: "forward",
    limit: "2",
  });
  assert.deepEqual(
    forward.result.flatMap(({ values = [] }) => values.map(([time]) => time)),
    [ns(10), ns(70)],
  );
}

async function narrows({ data }: World): Promise<void> {
  const users = async (query: string) => {
    const { result } = await data("query_range", { ...span, query });
    const lines = result.flatMap(({ values = [] }) => values.map(([, line]) => line));
    return lines.map((line) => / by (\w+)/.exec(line)?.[1] ?? "").toSorted();
  };
  assert.deepEqual(await users('{source="falco"} |= "alice" or "bob" != "Secret"'), [
    "alice",
    "alice",
    "bob",
  ]);
  assert.deepEqual(await users('{source="falco"} |~ "by (a|c)"'), ["alice", "alice", "alice", "carol"]);
  assert.deepEqual(await users('{source="falco"} |= "100% odd_name"'), ["mallory"]);
  assert.deepEqual(await users('{rule=~"Secret.*|Shell.+", cluster!="eu-1"}'), ["carol", "mallory"]);
  assert.deepEqual(await users('{priority=~"Warning|Critical", region="us"}'), ["mallory"]);
  assert.deepEqual(await users('{app_io_tier="1"} | json | output_fields_ka_user_name=~"m.*"'), ["mallory"]);
  assert.deepEqual(await users('{source="falco"} | json | output_fields_ka_user_name="bob"'), ["bob"]);
  assert.deepEqual(await users('{source="nothing"}'), []);
  assert.deepEqual(await users('{cluster="nowhere"}'), []);
}

async function counts({ data }: World): Promise<void> {
  const range = (query: string) => data("query_range", { ...span, query, step: "60" });
  const wanted = {
    "Exec into pod": [1, 2, 3, 3, 3].map((count, step) => [second + 60 * (step + 1), String(count)]),
    "Secret read": [1, 1, 2, 2].map((count, step) => [second + 60 * (step + 2), String(count)]),
    "Shell 100% odd_name": [1, 1].map((count, step) => [second + 60 * (step + 4), String(count)]),
  };
  // The first is counted by the database, the second line by line.
  for (const stages of ["| json", '| json | output_fields_ka_target_namespace="payments"']) {
    const found = await range(`sum by (rule) (count_over_time({source="falco"} ${stages} [1h]))`);
    assert.equal(found.resultType, "matrix");
    assert.deepEqual(byLabel(found, "rule"), wanted, stages);
  }
  const instant = async (query: string) => data("query", { query, time: ns(300) });
  const top = await instant('topk(1, sum by (cluster) (count_over_time({source="falco"}[10m])))');
  assert.deepEqual(byLabel(top, "cluster"), { "eu-1": [second + 300, "3"] });
  const rate = await instant('sum(rate({source="falco", team="pay"}[5m]))');
  assert.deepEqual(rate.result[0]?.value?.[1], String(5 / 300));
  const offset = await instant('sum(count_over_time({source="falco"}[1m] offset 2m))');
  assert.deepEqual(offset.result[0]?.value?.[1], "1");
  const bytes = await instant('sum(bytes_over_time({rule="Secret read", region="us"}[5m]))');
  assert.deepEqual(bytes.result[0]?.value?.[1], String(falcoLine(morning[4] ?? assert.fail()).length));
  const explore = await range(
    'sum by (level, detected_level) (count_over_time({source="falco"} | drop __error__ [1m]))',
  );
  assert.deepEqual(explore.result[0]?.metric, {});
}

async function lists({ data, get }: World): Promise<void> {
  assert.deepEqual(await data("labels"), [
    "app_io_tier",
    "cluster",
    "environment",
    "job",
    "priority",
    "region",
    "rule",
    "source",
    "team",
  ]);
  assert.deepEqual(await data("label/cluster/values"), ["eu-1", "eu-2", "us-1"]);
  assert.deepEqual(await data("label/cluster/values", { ...span, query: '{rule="Secret read"}' }), [
    "eu-1",
    "us-1",
  ]);
  assert.deepEqual(await data("label/constructor/values"), []);
  // Within the hour before, nothing had happened.
  assert.deepEqual(await data("labels", { end: ns(0) }), []);
  const series = await data<readonly object[]>("series", {
    ...span,
    "match[]": ['{cluster="eu-2"}', '{team="web"}', '{rule="Secret read", region="eu"}'],
  });
  assert.equal(series.length, 2);
  const stats = JSON.parse((await get("index/stats", { ...span, query: '{region="eu"}' })).text) as object;
  const bytes = morning.slice(0, 4).reduce((sum, seen) => sum + falcoLine(seen).length, 0);
  assert.deepEqual(stats, { streams: 3, chunks: 3, entries: 4, bytes });
  const volume = await data("index/volume", { ...span, query: '{region=~".+"}' });
  assert.deepEqual(
    volume.result.map(({ metric }) => metric?.["region"]),
    ["eu", "us"],
  );
}

async function detects({ get }: World): Promise<void> {
  const answer = async (path: string, params: Params, scope?: Scope): Promise<unknown> => {
    const { status, text } = await get(path, { ...span, ...params }, scope);
    assert.equal(status, 200, text);
    return JSON.parse(text);
  };
  assert.deepEqual(await answer("detected_labels", { query: '{cluster="eu-2"} | json' }), {
    detectedLabels: ["cluster", "environment", "job", "priority", "region", "rule", "source", "team"].map(
      (label) => ({ label, cardinality: 1 }),
    ),
  });
  const asked = { query: '{source="falco", region="eu"} |= "Exec"' };
  const { fields } = (await answer("detected_fields", asked)) as { fields: readonly { label: string }[] };
  assert.deepEqual(
    fields.find(({ label }) => label === "output_fields_ka_user_name"),
    { label: "output_fields_ka_user_name", type: "string", cardinality: 2, parsers: ["json"] },
  );
  assert.ok(fields.some(({ label }) => label === "source_extracted"));
  const values = (scope?: Scope) => answer("detected_field/output_fields_ka_user_name/values", asked, scope);
  assert.deepEqual(await values(), { values: ["alice", "bob"], limit: 1000 });
  assert.deepEqual(await values(scopeOf("team", "web")), { values: ["alice"], limit: 1000 });
  assert.deepEqual(await answer("patterns", { query: '{source="falco"}' }), { status: "success", data: [] });
  const limits = (await answer("drilldown-limits", {})) as { pattern_ingester_enabled: boolean };
  assert.equal(limits.pattern_ingester_enabled, false);
}

async function scopes({ data }: World): Promise<void> {
  const pay = scopeOf("team", "pay");
  assert.deepEqual(await data("label/cluster/values", span, pay), ["eu-1", "us-1"]);
  const found = await data("query_range", { ...span, query: '{source="falco"}' }, pay);
  assert.deepEqual([...new Set(found.result.map(({ stream }) => stream?.["team"]))], ["pay"]);
  const sum = { query: 'sum(count_over_time({source="falco"}[10m]))', time: ns(300) };
  assert.equal((await data("query", sum, pay)).result[0]?.value?.[1], "5");
  assert.equal((await data("query", sum)).result[0]?.value?.[1], "6");
  const other = { ...span, query: '{cluster="eu-2"}' };
  assert.deepEqual((await data("query_range", other, pay)).result, []);
  const every = await data<readonly object[]>("series", { ...span, "match[]": '{source="falco"}' }, pay);
  assert.equal(every.length, 4);
}

async function doors({ at }: World): Promise<void> {
  const params = { ...span, query: '{source="falco"}' };
  const status = async (authorization: string | undefined) =>
    (await ask(at, "query_range", params, authorization)).status;
  const token = await at.token("viewer");
  const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;
  assert.equal(await status(basic(`grafana:${token}`)), 200);
  assert.equal(await status(basic(`grafana:${token}x`)), 401);
  assert.equal(await status(basic(token)), 401);
  assert.equal(await status(undefined), 401);
  const stranger = await ask(at, "labels", span, undefined);
  assert.match(String(stranger.headers["www-authenticate"]), /^Basic /);
  assert.equal((await ask(at, "nothing/like/this", {}, undefined)).status, 401);
}

async function forms({ at }: World): Promise<void> {
  const authorization = `Bearer ${await at.token("viewer")}`;
  const type = "application/x-www-form-urlencoded; charset=utf-8";
  const calls: readonly (readonly [string, Params])[] = [
    ["query_range", { ...span, query: '{source="falco"} |= "alice"' }],
    ["query", { query: 'sum(count_over_time({job="falconry"}[5m]))', time: ns(300) }],
    ["labels", span],
    ["series", { ...span, "match[]": ['{rule=~"Exec.*"}', '{cluster="us-1"}'] }],
  ];
  const dataOf = ({ status, text }: Answered) => {
    assert.equal(status, 200, text);
    const { data } = JSON.parse(text) as { data: { result?: unknown } };
    return data.result ?? data;
  };
  for (const [path, params] of calls) {
    const [got, posted] = await Promise.all([
      ask(at, path, params, authorization),
      ask(at, path, params, authorization, { type }),
    ]);
    assert.deepEqual(dataOf(posted), dataOf(got), path);
  }
  const long = await ask(at, "labels", {}, authorization, { type, body: `query=${"x".repeat(12_000)}` });
  assert.deepEqual([long.status, long.text], [400, "the parameters have more than 12000 letters"]);
  const json = await ask(at, "labels", {}, authorization, { type: "application/json", body: "{}" });
  assert.equal(json.status, 400);
}

async function refuses({ get }: World): Promise<void> {
  const refused: readonly (readonly [path: string, params: Params, status: number, text: RegExp])[] = [
    ["query_range", { query: '{source="falco"' }, 400, /^parse error at line 1, col 16: syntax error/],
    [
      "query_range",
      { query: '{source="falco"} | logfmt' },
      400,
      /col 20: not supported here: the parser logfmt/,
    ],
    ["query", { query: '{source="falco"}' }, 400, /^log queries are not supported as an instant query type/],
    ["query_range", { query: '{source="falco"}', limit: "5001" }, 400, /5001 > 5000/],
    ["query_range", { query: '{source="falco"}', limit: "x" }, 400, /limit must be a positive value/],
    ["query_range", { query: '{source="falco"}', start: "1", end: ns(0) }, 400, /exceeds the limit/],
    ["query_range", { query: '{source="falco"}', start: ns(9), end: ns(8) }, 400, /end timestamp must not/],
    ["query_range", { query: "vector(1)", step: "0" }, 400, /zero or negative query resolution/],
    ["query_range", { query: "vector(1)", ...span, step: "1ms" }, 400, /maximum resolution of 11,000 points/],
    ["query_range", { query: "vector(1)", direction: "up" }, 400, /invalid direction/],
    ["labels", { start: "yesterday" }, 400, /could not parse 'start'/],
    ["series", span, 400, /0 matcher groups supplied/],
    ["tail", { query: '{source="falco"}' }, 400, /web socket/],
    ["rules", span, 404, /no such call/],
    ["detected_fields", { query: "vector(1)" }, 400, /only a log query is allowed here/],
  ];
  for (const [path, params, status, pattern] of refused) {
    const answered = await get(path, params);
    assert.equal(answered.status, status, `${path} ${JSON.stringify(params)}: ${answered.text}`);
    assert.match(answered.text, pattern);
    assert.match(String(answered.headers["content-type"]), /^text\/plain/);
  }
}

test("who takes an answer drop by drop is cut off, and who took it is not", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const cut: string[] = [];
  const [slow, quick] = [0, 1].map(() => Object.assign(new EventEmitter(), { closed: false }));
  assert.ok(slow && quick);
  cutLate(slow, () => cut.push("slow"));
  cutLate(quick, () => cut.push("quick"));
  quick.emit("close");
  t.mock.timers.tick(59_999);
  assert.deepEqual(cut, []);
  t.mock.timers.tick(1);
  assert.deepEqual(cut, ["slow"]);
});

/** Last, because it stores more alerts. */
async function stops({ at: { db } }: World): Promise<void> {
  await storeSeen(db, Array.from({ length: 50 }, () => morning).flat(), 1_000);
  const refusal = async (
    query: string,
    limits: Partial<QueryLimits>,
    signal = new AbortController().signal,
  ) => {
    const params = new URLSearchParams({ ...span, query, step: "1s" });
    const asked = { db, scope: wholeFleet, signal, nowMs: beganMs + 300_000, params, label: "" };
    return requests.QueryRange({ ...asked, limits: { ...queryLimits, ...limits } }).then(
      () => "answered",
      (error: unknown) => ConnectError.from(error).message,
    );
  };
  const byUser = 'sum by (output_fields_ka_user_name) (count_over_time({source="falco"} | json [1m]))';
  const byStream = 'count_over_time({source="falco"}[1m])';

  assert.equal(await refusal(byUser, {}), "answered");
  assert.equal(await refusal('{source="falco"} |~ "nobody"', {}), "answered");
  // A batch holds 100 lines or more, so that the 300 are not looked at in one.
  assert.match(
    await refusal('{source="falco"} |~ "nobody"', { linesMax: 100 }),
    /looked at 100 alerts one by one, .* \| json decides: nothing is answered rather than a part/,
  );
  assert.match(await refusal('{source="falco"} |~ "nobody"', { bytesMax: 1_000 }), /alerts one by one/);
  assert.equal(await refusal('{source="falco"} |= "nobody"', { linesMax: 100 }), "answered");
  assert.match(await refusal('{source="falco"}', { answerBytesMax: 1_000 }), /more than 1000 bytes/);
  assert.match(
    await refusal(byStream, { answerBytesMax: 1_000 }),
    /more than 1000 bytes: choose a larger step/,
  );
  assert.match(await refusal(byStream, { seriesMax: 4 }), /maximum number of series \(4\)/);
  assert.match(await refusal(byStream, { countsMax: 4 }), /more than 4 counts/);
  assert.match(await refusal(byStream, { valuesMax: 1_000 }), /more than 1000 counts/);
  assert.match(await refusal(byUser, { countsMax: 2 }), /more than 2 counts/);
  assert.match(await refusal(byUser, { workMs: 0 }), /request timed out/);
  const gone = new AbortController();
  gone.abort();
  assert.match(await refusal(byUser, {}, gone.signal), /cancelled by the client/);
}
