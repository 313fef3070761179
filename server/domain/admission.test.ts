import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { certificateOverlapMs, judgeCertificate } from "./certificate.ts";
import { judgeJoinToken, judgeNamesakes, parseApplicant, type JoinTokenState } from "./enrollment.ts";
import { digestBytes, digestFromBytes, isDigest, isId, makeId } from "./ids.ts";
import { parseLabels, relabel } from "./labels.ts";
import { isAllowed, roles, type Permission, type Role } from "./permission.ts";
import { accept, sentence, type Outcome } from "./refusal.ts";
import { wholeFleet } from "./scope.ts";
import { parseCredential } from "./secret.ts";
import { parseApiTokenRequest, parseJoinTokenRequest } from "./token.ts";

function said(outcome: Outcome<unknown>): string {
  return outcome.ok ? "accepted" : `${outcome.refusal.kind}: ${sentence(outcome.refusal)}`;
}

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

test("makeId() makes ids that are recognised, and different ones from different bytes", () => {
  fc.assert(
    fc.property(bytes(10), bytes(10), (a, b) => {
      const [one, other] = [makeId("cluster", a), makeId("cluster", b)];
      return isId("cluster", one) && !isId("agent", one) && (one === other) === (a.join() === b.join());
    }),
  );
});

test("digests survive the way to bytes and back; other lengths are none", () => {
  fc.assert(
    fc.property(bytes(32), (raw) => {
      const digest = digestFromBytes(raw);
      return digest !== undefined && isDigest(digest) && digestBytes(digest).join() === raw.join();
    }),
  );
  assert.equal(digestFromBytes(new Uint8Array(31)), undefined);
});

test("operators and approvers may not do each other's work, an admin may do all of it, and none may act as an agent", () => {
  const may: Readonly<Partial<Record<Permission, readonly Role[]>>> = {
    "self:read": ["viewer", "operator", "approver", "admin"],
    "cluster:read": ["viewer", "operator", "approver", "admin"],
    "rollout:write": ["operator", "admin"],
    "rollout:approve": ["approver", "admin"],
    "join-token:write": ["operator", "admin"],
    "api-token:write": ["admin"],
    "trust:write": ["admin"],
    agent: [],
  };
  for (const [permission, expected] of Object.entries(may)) {
    const allowed = roles.filter((role) => isAllowed(role, permission as Permission));
    assert.deepEqual(allowed, expected, permission);
  }
});

const known = {
  certificateSerial: "new",
  certificateExpiresAtMs: 100_000_000,
  isOfNewestCa: true,
  isRevoked: false,
  isRetired: false,
};
const lifeMs = 86_400_000;
const issuedMs = known.certificateExpiresAtMs - lifeMs;
const certificates: readonly (readonly [
  string,
  Parameters<typeof judgeCertificate>[0],
  Partial<typeof known>,
  number,
  RegExp,
])[] = [
  [
    "the one that is stored",
    { serial: "new", expiresAtMs: 100_000_000, isOfNewestCa: true },
    {},
    issuedMs,
    /^accepted/,
  ],
  [
    "a renewed one",
    { serial: "newer", expiresAtMs: 100_000_001, isOfNewestCa: true },
    {},
    issuedMs,
    /^accepted/,
  ],
  [
    "one of the new CA, however soon it expires",
    { serial: "next", expiresAtMs: 99_000_000, isOfNewestCa: true },
    { isOfNewestCa: false },
    issuedMs + certificateOverlapMs,
    /^accepted/,
  ],
  [
    "one of the old CA after one of the new, however long it holds",
    { serial: "old", expiresAtMs: 200_000_000, isOfNewestCa: false },
    {},
    issuedMs + certificateOverlapMs,
    /^unauthenticated: .*replaced by new/,
  ],
  [
    "the one before, while connections are swapped",
    { serial: "old", expiresAtMs: 99_000_000, isOfNewestCa: true },
    {},
    issuedMs + certificateOverlapMs - 1,
    /^accepted/,
  ],
  [
    "the one before, after that",
    { serial: "old", expiresAtMs: 99_000_000, isOfNewestCa: true },
    {},
    issuedMs + certificateOverlapMs,
    /^unauthenticated: .*replaced by new/,
  ],
  [
    "an expired one",
    { serial: "new", expiresAtMs: 100_000_000, isOfNewestCa: true },
    {},
    100_000_000,
    /^unauthenticated: .*has expired/,
  ],
  [
    "that of a revoked agent",
    { serial: "new", expiresAtMs: 100_000_000, isOfNewestCa: true },
    { isRevoked: true },
    issuedMs,
    /^forbidden: .*revoked/,
  ],
  [
    "that of a retired cluster",
    { serial: "new", expiresAtMs: 100_000_000, isOfNewestCa: true },
    { isRetired: true },
    issuedMs,
    /^forbidden: .*retired/,
  ],
];
for (const [what, presented, change, nowMs, want] of certificates) {
  test(`judgeCertificate() decides on ${what}`, () => {
    assert.match(said(judgeCertificate(presented, { ...known, ...change }, nowMs, lifeMs)), want);
  });
}

const applicant = { clusterName: "eu-1", clusterUid: "u-1", agentName: "node-1", agentVersion: "" };
const token: JoinTokenState = { id: "jt_1", uses: 0, usesMax: 1, expiresAtMs: 1_000, isRevoked: false };
const tokens: readonly (readonly [string, Partial<JoinTokenState>, number, RegExp])[] = [
  ["good", {}, 999, /^accepted/],
  ["expired by nothing", {}, 1_000, /^unauthenticated: .*expired 0 s ago/],
  ["used up", { uses: 1 }, 0, /^unauthenticated: .*used up \(1 of 1\)/],
  ["revoked", { isRevoked: true }, 0, /^unauthenticated: .*revoked/],
  ["for its name", { clusterName: "eu-1" }, 0, /^accepted/],
  ["for its UID", { clusterUid: "u-1" }, 0, /^accepted/],
  ["for another UID", { clusterUid: "u-2" }, 0, /^precondition: .*with UID u-2, not for u-1/],
  ["for its network", { cidr: "10.1.0.0/16" }, 0, /^accepted/],
  ["for another network", { cidr: "10.2.0.0/16" }, 0, /^precondition: .*from 10.2.0.0\/16; .*10.1.2.3/],
  ["for another name", { clusterName: "eu-2" }, 0, /^precondition: .*for the cluster "eu-2"/],
];
for (const [what, change, nowMs, want] of tokens) {
  test(`judgeJoinToken() decides on a token that is ${what}`, () => {
    assert.match(said(judgeJoinToken({ ...token, ...change }, applicant, "10.1.2.3", nowMs)), want);
  });
}

test("judgeNamesakes() lets a cluster back in only as what it was", () => {
  const row = { id: "cl_1", name: "eu-1", uid: "u-1", isRetired: false };
  assert.equal(said(judgeNamesakes(applicant, {})), "accepted");
  assert.equal(said(judgeNamesakes(applicant, { byName: row, byUid: row })), "accepted");
  assert.match(
    said(judgeNamesakes(applicant, { byName: { ...row, uid: "u-2" } })),
    /taken by a cluster with UID u-2/,
  );
  assert.match(said(judgeNamesakes(applicant, { byUid: { ...row, name: "eu-9" } })), /is enrolled as "eu-9"/);
  const retired = { ...row, isRetired: true };
  assert.match(said(judgeNamesakes(applicant, { byName: retired, byUid: retired })), /was retired/);
});

test("whatever a stranger sends, parsing answers and never throws", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.dictionary(fc.string(), fc.string()), (a, b, labels) => {
      parseApplicant({ clusterName: a, clusterUid: b, agentName: a, agentVersion: b });
      parseCredential("at", a);
      parseLabels("labels", labels);
      parseJoinTokenRequest({
        labels,
        clusterName: a,
        clusterUid: b,
        cidr: a,
        ttlSeconds: 1,
        uses: 1,
      });
      parseApiTokenRequest({ name: a, role: b, ttlSeconds: 0 }, accept(wholeFleet), wholeFleet);
    }),
  );
});

test("parseCredential() takes only what this server could have made", () => {
  const secret = "s".repeat(43);
  assert.deepEqual(parseCredential("at", `at_abc.${secret}`), { id: "at_abc", secret });
  for (const text of [
    "",
    "at_abc",
    `jt_abc.${secret}`,
    `at_abc.${secret}.x`,
    `at_abc.${"s".repeat(300)}`,
    `at_ABC.${secret}`,
  ]) {
    assert.equal(parseCredential("at", text), undefined, text);
  }
});

test("relabel() never loses the region, and says when a label is set and removed at once", () => {
  const before = { region: "eu", team: "a" };
  assert.deepEqual(relabel(before, { team: "b" }, []), { ok: true, value: { region: "eu", team: "b" } });
  assert.match(said(relabel(before, {}, ["region"])), /needs a region/);
  assert.match(said(relabel(before, { team: "b" }, ["team"])), /set and removed at once/);
  assert.match(said(relabel(before, { cluster: "x" }, [])), /name of the cluster/);
});

test("bounds of tokens hold at their edges", () => {
  const join = (ttlSeconds: number, uses: number) =>
    parseJoinTokenRequest({
      labels: { region: "eu" },
      clusterName: "",
      clusterUid: "",
      cidr: "",
      ttlSeconds,
      uses,
    }).ok;
  assert.deepEqual(
    [join(0, 0), join(60, 1), join(59, 1), join(2_592_000, 10_000), join(2_592_001, 1), join(60, 10_001)],
    [true, true, false, true, false, false],
  );
});
