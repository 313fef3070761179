import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { StateReportSchema, SyncRequestSchema } from "#proto/agent/v1/agent";
import type { StateReport } from "#proto/agent/v1/agent";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { RolloutService } from "#proto/fleet/v1/rollout";
import { generatePrivateKey, signReport } from "#trust";
import type { TestFleet } from "../../server/rpc/agent-service/fixture.ts";
import { bytesOf, fetchBlob } from "../support/sim-agent.ts";
import type { SimIdentity, SimSession } from "../support/sim-agent.ts";
import { openLink } from "../support/sim-link.ts";
import type { SimLink } from "../support/sim-link.ts";

/** A fleet in which one agent lies and another one is to suffer from it. */
export interface Scene {
  readonly fleet: TestFleet;
  readonly liar: SimIdentity;
  readonly victim: SimIdentity;
  readonly link: SimLink;
  /** A session of its own for each lie: what it said before must not matter. */
  readonly session: () => SimSession;
}

type Lie = (scene: Scene) => Promise<unknown>;

/** A report that is signed with the liar's own key, and says something else. */
function twisted(
  { liar, link, session }: Scene,
  twist: (report: StateReport) => void,
  key: string = liar.key,
) {
  const request = session().message();
  const report = fromBinary(StateReportSchema, request.report);
  twist(report);
  request.report = toBinary(StateReportSchema, report);
  request.reportSignature = Uint8Array.from(signReport(key, request.report));
  return link.say(request);
}

const says =
  (more: MessageInitShape<typeof SyncRequestSchema>): Lie =>
  ({ link, session }) => {
    const { $typeName: _type, ...rest } = session().message();
    return link.say(create(SyncRequestSchema, { ...rest, ...(more as object) }));
  };

const many = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);
const component = (kind: string) => create(StateReportSchema, { components: [{ kind }] }).components;

/** What it says, and what the server has to answer. */
export const lies: Readonly<Record<string, readonly [answer: string, Lie]>> = {
  "a report about the other cluster": [
    "InvalidArgument",
    (s) => twisted(s, (r) => void (r.clusterId = s.victim.clusterId)),
  ],
  "a report of the other agent": [
    "InvalidArgument",
    (s) => twisted(s, (r) => void (r.agentId = s.victim.agentId)),
  ],
  "a report of another session": [
    "InvalidArgument",
    (s) => twisted(s, (r) => void (r.sessionId = "another-session")),
  ],
  "a report of another message": ["InvalidArgument", (s) => twisted(s, (r) => void (r.sequence = 7n))],
  "a report by another key": ["Unauthenticated", (s) => twisted(s, () => undefined, generatePrivateKey())],
  "a report by the other agent's key": [
    "Unauthenticated",
    (s) => twisted(s, (r) => void (r.agentId = s.victim.agentId), s.victim.key),
  ],
  "a report without a signature": ["Unauthenticated", says({ reportSignature: new Uint8Array() })],
  "a report that was changed after it was signed": [
    "Unauthenticated",
    says({ report: Uint8Array.from(Buffer.from("changed")) }),
  ],
  "a report that is none": [
    "InvalidArgument",
    async ({ liar, link, session }) => {
      const report = Uint8Array.from(Buffer.from([0xff, 0xff, 0xff]));
      return link.say(
        create(SyncRequestSchema, {
          ...session().message(),
          report,
          reportSignature: Uint8Array.from(signReport(liar.key, report)),
        }),
      );
    },
  ],
  "a report of an earlier session, replayed": [
    "InvalidArgument",
    async ({ link, session }) => {
      const before = session().message();
      await link.say(before);
      const { report, reportSignature } = before;
      return link.say(create(SyncRequestSchema, { ...session().message(), report, reportSignature }));
    },
  ],
  "a message number of zero": ["InvalidArgument", says({ sequence: 0n })],
  "a message number without end": ["InvalidArgument", says({ sequence: 2n ** 64n - 1n })],
  "a session without a name": ["InvalidArgument", says({ sessionId: "" })],
  "a session with a line break": ["InvalidArgument", says({ sessionId: "session\nsession" })],
  "the session of nobody, without a hello": [
    "need-hello",
    async ({ link, session }) => {
      const own = session();
      own.isHelloDue = false;
      return link.say(own.message({}, true));
    },
  ],
  "a gap between two messages": [
    "need-hello",
    async ({ link, session }) => {
      const own = session();
      await link.say(own.message());
      own.sequence += 5n;
      return link.say(own.message());
    },
  ],
  "the UID of another cluster": [
    "FailedPrecondition",
    async (s) => {
      const request = s.session().message();
      if (request.hello !== undefined) request.hello.clusterUid = s.victim.clusterUid;
      return s.link.say(request);
    },
  ],
  "a protocol of the future": [
    "FailedPrecondition",
    async ({ link, session }) => {
      const request = session().message();
      if (request.hello !== undefined) request.hello.protocolMin = request.hello.protocolMax = 9;
      return link.say(request);
    },
  ],
  "a thousand capabilities": [
    "InvalidArgument",
    async ({ link, session }) => {
      const request = session().message();
      request.hello?.capabilities.push(...many(1_000, "x"));
      return link.say(request);
    },
  ],
  "a report of 65 KiB": ["InvalidArgument", says({ report: new Uint8Array(65 * 1024) })],
  "two thousand minutes": ["InvalidArgument", says({ rates: many(2_000, {}) })],
  "a message of nine MiB": [
    "ResourceExhausted",
    async ({ liar, session }) => {
      // On a connection of its own: the server closes it.
      const link = openLink("long-poll", liar);
      try {
        const report = new Uint8Array(9 * 1024 * 1024);
        return await link.say(Object.assign(session().message(), { report }));
      } finally {
        await link.close();
      }
    },
  ],
  "three components": [
    "InvalidArgument",
    (s) => twisted(s, (r) => void (r.components = many(3, component("rules")).flat())),
  ],
  "a component that does not exist": [
    "InvalidArgument",
    (s) => twisted(s, (r) => void (r.components = component("kernel"))),
  ],
  "the same component twice": [
    "InvalidArgument",
    (s) => twisted(s, (r) => void (r.components = many(2, component("rules")).flat())),
  ],
  "a hundred conditions": [
    "InvalidArgument",
    (s) =>
      twisted(
        s,
        (r) =>
          void (r.conditions = many(
            100,
            create(StateReportSchema, { conditions: [{ code: "x" }] }).conditions,
          ).flat()),
      ),
  ],
  "conditions of strange text and times": [
    "accepted",
    (s) =>
      twisted(s, (r) => {
        r.conditions = create(StateReportSchema, {
          conditions: [
            {
              code: "nul \0",
              message: "\u{202E}\u001b[31m'; drop table agents; --",
              since: { seconds: -1n },
            },
            { code: "y".repeat(5_000), since: { seconds: 2n ** 62n } },
          ],
        }).conditions;
      }),
  ],
  "a generation that nobody ever assigned": [
    "accepted",
    (s) => twisted(s, (r) => void (r.observedGeneration = 2n ** 64n - 1n)),
  ],
  "minutes of the year 9999, and counts without end": [
    "accepted",
    says({
      rates: [
        { minute: { seconds: 253_402_300_740n }, events: 1n },
        {
          minute: { seconds: BigInt(Math.floor(Date.now() / 60_000) * 60) },
          events: 2n ** 64n - 1n,
          seconds: 4_000_000_000,
        },
      ],
    }),
  ],
  "the other cluster's bundle": [
    "NotFound",
    ({ fleet, link }) => fetchBlob(link, fleet.bundles[1]?.digest ?? ""),
  ],
  "a bundle by a path": [
    "InvalidArgument",
    ({ link }) => fetchBlob(link, "../../state/keys/assignment.json"),
  ],
  "a bundle that is assigned to nobody": [
    "NotFound",
    ({ fleet, link }) => fetchBlob(link, fleet.bundles[2]?.digest ?? ""),
  ],
  "501 alerts at once": [
    "InvalidArgument",
    ({ link }) => link.client.deliverAlerts({ alerts: many(501, alert("a")) }),
  ],
  "an alert without a rule": [
    "InvalidArgument",
    ({ link }) => link.client.deliverAlerts({ alerts: [{ ...alert("b"), rule: "" }] }),
  ],
  "an alert larger than they are": [
    "InvalidArgument",
    ({ link }) => link.client.deliverAlerts({ alerts: [{ ...alert("b"), body: "x".repeat(70_000) }] }),
  ],
  "an alert with an id that is none": [
    "InvalidArgument",
    ({ link }) => link.client.deliverAlerts({ alerts: [{ ...alert("b"), id: "'; drop table alerts; --" }] }),
  ],
  "a call that is for people": [
    "PermissionDenied",
    async ({ fleet, liar }) => fleet.at.bare(ClusterService, liar).listClusters({}),
  ],
  "a rollout of its own": [
    "PermissionDenied",
    async ({ fleet, liar }) => fleet.at.bare(RolloutService, liar).startRollout({}),
  ],
};

/** An alert that the store takes. */
export function alert(id: string) {
  return {
    id: id.padEnd(64, "0"),
    rule: "Exec into pod",
    priority: "Critical",
    source: "k8s_audit",
    time: { seconds: BigInt(Math.floor(Date.now() / 1_000)) },
    output: "said by the liar",
    body: "{}",
    rulesDigest: bytesOf("a".repeat(64)),
  };
}
