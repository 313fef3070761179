import assert from "node:assert/strict";
import { test } from "node:test";
import { coverRequests, loadRules } from "./index.ts";

const rule = (name: string, condition: string, more = "") => `
- rule: ${name}
  desc: d
  condition: ${condition}
  output: o
  priority: INFO
  source: k8s_audit
  ${more}`;

function cover(rules: string, request: string) {
  const { ruleset } = loadRules([{ name: "r.yaml", content: rules }]);
  const [verb = "", resource = "", subresource = ""] = request.split(" ");
  const [covered] = coverRequests(ruleset, [{ verb, resource, subresource }]);
  return { specific: covered?.specific, general: covered?.general };
}

const cases: readonly (readonly [string, string, string, "specific" | "general" | "unseen"])[] = [
  ["a rule that asks for the resource", "ka.target.resource = secrets", "get secrets", "specific"],
  ["a rule about another resource", "ka.target.resource = pods", "get secrets", "unseen"],
  ["a rule about another verb", "ka.verb = list and ka.target.resource = secrets", "get secrets", "unseen"],
  ["a rule about a user", "ka.user.name = mallory", "get secrets", "general"],
  ["a rule about all but some", "not ka.target.resource in (leases)", "get secrets", "general"],
  ["the exception of such a rule", "not ka.target.resource in (leases)", "get leases", "unseen"],
  [
    "a rule that needs more than the request",
    "ka.target.resource startswith sec and ka.user.name = a",
    "get secrets",
    "specific",
  ],
  ["a subresource", "ka.target.subresource = exec", "create pods exec", "specific"],
  ["the resource of a subresource", "ka.target.subresource = exec", "create pods", "unseen"],
  ["a rule for whole objects", "not ka.target.subresource exists", "create pods exec", "unseen"],
];
for (const [what, condition, request, answer] of cases) {
  test(`coverRequests() counts ${what} as ${answer} for ${request}`, () => {
    const { specific, general } = cover(rule("R", condition), request);
    assert.deepEqual(specific, answer === "specific" ? ["R"] : []);
    assert.deepEqual(general, answer === "general" ? ["R"] : []);
  });
}

test("coverRequests() leaves disabled rules out", () => {
  const { specific } = cover(rule("R", "ka.target.resource = secrets", "enabled: false"), "get secrets");
  assert.deepEqual(specific, []);
});

test("coverRequests() says of each of many requests what it says of it alone", () => {
  const rules = [
    rule("Gets", "ka.verb = get"),
    rule("Lists of pods", "ka.verb = list and ka.target.resource = pods"),
    rule("Pods, whatever is done", "ka.verb in (get, list, delete) and ka.target.resource = pods"),
    rule("Exec", "ka.verb = create and ka.target.subresource = exec"),
  ].join("\n");
  const { ruleset } = loadRules([{ name: "r.yaml", content: rules }]);
  const requests = ["get", "list", "delete", "create"].flatMap((verb) =>
    ["pods", "secrets"].flatMap((resource) =>
      ["", "exec"].map((subresource) => ({ verb, resource, subresource })),
    ),
  );
  const alone = requests.flatMap((request) => coverRequests(ruleset, [request]));
  assert.deepEqual(coverRequests(ruleset, requests), alone);
  assert.deepEqual(alone[0], {
    verb: "get",
    resource: "pods",
    subresource: "",
    specific: ["Pods, whatever is done"],
    general: ["Gets"],
  });
});

test("coverRequests() takes a word that is written as a call is for a word", () => {
  const rules = [
    rule("Word", 'ka.verb = "val(ka.target.resource)"'),
    rule("Call", "ka.verb = val(ka.target.resource)"),
  ].join("\n");
  assert.deepEqual(cover(rules, "odd odd").specific, ["Call"]);
  assert.deepEqual(cover(rules, "val(ka.target.resource) pods").general, ["Word"]);
});
