import assert from "node:assert/strict";
import { test } from "node:test";
import { buildBundle, type Bundle, effectiveFiles } from "#trust";
import { checkContents } from "./check-contents.ts";
import { baseRules, layer } from "./fixture.ts";
import { parseResponses } from "./response-policy.ts";

const shown = baseRules.replace(
  "output: Exec (user=%ka.user.name)",
  "output: Exec (ns=%ka.target.namespace pod=%ka.target.name of=%ka.target.resource code=%ka.response.code)",
);
const isolate = "- response: isolate-exec\n  rules: [Exec]\n  action: isolate\n";

function bundleOf(responses: string, more: Partial<Bundle> = {}, rules: string = shown): Bundle {
  const files = [
    { path: "base.yaml", content: rules },
    { path: "response.yaml", content: responses },
  ];
  const built = buildBundle({
    org: "o",
    kind: "rules",
    name: "x",
    version: "1.0.0",
    files,
    layers: [],
    ...more,
  });
  assert.ok(built.ok);
  return built.value.bundle;
}

const why = (bundle: Bundle): string => {
  const contents = checkContents(bundle);
  return contents.ok ? "" : contents.why;
};

test("a response that does not say so is a dry run, five times an hour, and no part of the rules", () => {
  const parsed = parseResponses(isolate);
  assert.deepEqual(parsed, {
    ok: true,
    policies: [{ name: "isolate-exec", rules: ["Exec"], action: "isolate", enforce: false, perHour: 5 }],
  });
  const bundle = bundleOf(isolate);
  assert.equal(why(bundle), "");
  assert.deepEqual(
    effectiveFiles(bundle, {}).map(({ name }) => name),
    ["base.yaml"],
  );
});

const refused: [string, string, RegExp][] = [
  ["no list", "response: x\n", /is no list of responses/],
  ["an alias", "- &a {response: x}\n- *a\n", /alias/i],
  ["a key that nobody knows", `${isolate}  dry_run: false\n`, /unknown key "dry_run"/],
  ["an action that nobody knows", isolate.replace("isolate\n", "reboot\n"), /none of webhook, label/],
  ["a name that is no label value", isolate.replace("isolate-exec", "Isolate Exec"), /has a name/],
  ["more than sixty an hour", `${isolate}  per_hour: 61\n`, /per_hour/],
  ["a half an hour", `${isolate}  per_hour: 1.5\n`, /per_hour/],
  ["enforce that is no word of the two", `${isolate}  enforce: yes\n`, /enforce/],
  ["a url beside what is no webhook", `${isolate}  url: https://a.example/x\n`, /only a webhook takes one/],
  [
    "a webhook without TLS",
    "- response: w\n  rules: [Exec]\n  action: webhook\n  url: http://a.example/\n",
    /url/,
  ],
  [
    "a webhook with a user",
    "- response: w\n  rules: [Exec]\n  action: webhook\n  url: https://a@b.example/\n",
    /url/,
  ],
  ["a name twice", `${isolate}${isolate}`, /occurs twice/],
  ["no rules", "- response: x\n  rules: []\n  action: label\n", /no list of 1 to 64/],
  [
    "too many",
    Array.from({ length: 33 }, (_, i) => isolate.replace("isolate-exec", `r${i}`)).join(""),
    /at most 32/,
  ],
  ["a rule that there is not", isolate.replace("[Exec]", "[Exce]"), /rule "Exce", which there is not/],
  ["a rule that tells no pod", isolate.replace("[Exec]", "[Secret Read]"), /lacks %ka.target.namespace/],
];
for (const [what, text, message] of refused) {
  test(`a bundle whose response has ${what} is refused when it is built`, () => {
    assert.match(why(bundleOf(text)), message);
  });
}

test("a rule that shows the namespace and not the name tells no pod, and a full stop after a field takes nothing from it", () => {
  const nameless = shown.replace(" pod=%ka.target.name", "");
  assert.match(why(bundleOf(isolate, {}, nameless)), /lacks %ka.target.name:/);
  const last = shown.replace("%ka.response.code)", "%ka.response.code.)");
  assert.equal(why(bundleOf(isolate, {}, last)), "");
});

test("a layer may not respond, because labels choose it and nobody signs labels", () => {
  const own = layer("team", "a", { team: "a" }, "- macro: mine\n  condition: (ka.verb = get)\n");
  const files = [{ path: "response.yaml", content: isolate }];
  assert.match(why(bundleOf(isolate, { layers: [{ ...own, files }] })), /only the base may respond/);
});
