/** A link against a real server, with nothing behind it but a list of what it heard. */
import { engineVersion } from "#engine";
import type { TestContext } from "node:test";
import type { SyncResponse } from "#proto/agent/v1/agent";
import { signReport } from "#trust";
import { openAuditHead } from "../audit-head.ts";
import { createConditions } from "../conditions.ts";
import { openCurrent } from "../current.ts";
import { enroll } from "../identity/enroll.ts";
import { endpointOf } from "../identity/identity.ts";
import { createSpeaker } from "../speaker.ts";
import { log, newHome, until } from "../testing.ts";
import type { AgentFleet } from "../testing.ts";
import { openTrustStore } from "../trust-store.ts";
import { startLink } from "./link.ts";
import type { Link, LinkOptions, LinkState } from "./link.ts";

export interface Linked {
  readonly link: Link;
  readonly states: LinkState[];
  readonly heard: SyncResponse[];
  /** Something to tell the server. */
  readonly raise: (code: string) => void;
}

export async function enrolled(t: TestContext, fleet: AgentFleet) {
  const home = newHome(t, await fleet.joinString());
  const identity = await enroll(home.config, log, new AbortController().signal);
  return { home, identity };
}

export type Enrolled = Awaited<ReturnType<typeof enrolled>>;

/** A link with nothing behind it but a list of what it heard. */
export function linked(
  t: TestContext,
  { home, identity }: Enrolled,
  options: Partial<LinkOptions> = {},
): Linked {
  const states: LinkState[] = [];
  const heard: SyncResponse[] = [];
  let version = 0;
  const conditions = createConditions(() => {
    version += 1;
    link.wake();
  });
  const speaker = createSpeaker({
    identity: () => identity,
    capabilities: ["driver:embedded"],
    engine: () => engineVersion,
    instance: { id: "instance-1", starts: 1n },
    current: openCurrent(home.paths.current).get,
    running: () => ({}),
    parts: () => undefined,
    trust: openTrustStore(home.paths.trusted, identity),
    auditHead: openAuditHead(home.paths.auditHead, identity.org),
    conditions,
    reportVersion: () => version,
    trace: { telling: () => "", told: () => undefined },
    shadow: () => undefined,
    backtest: () => undefined,
    rates: () => [],
    ratesAcknowledged: () => undefined,
    sign: (report) => signReport(identity.privateKey, report),
  });
  const link: Link = startLink({
    speaker,
    log,
    endpoint: () => endpointOf(identity),
    transport: "auto",
    take: (response) => {
      heard.push(response);
      return Promise.resolve();
    },
    onState: (state) => void states.push(state),
    ...options,
  });
  t.after(() => link.stop());
  return { link, states, heard, raise: (code) => void conditions.raise(code, "for the test") };
}

/** Waits until the server says that the agent speaks by a transport; none when it is gone. */
export const shown = (fleet: AgentFleet, transport: string) =>
  until(`the server shows "${transport}"`, async () => (await fleet.agent())?.transport === transport);
