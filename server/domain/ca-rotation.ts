import { accept, refuse, type Outcome } from "./refusal.ts";

export type CaPhase = "spreading" | "switched" | "finished" | "cancelled";

/** A replacement of the CA, as far as decisions need it. */
export interface CaRotation {
  /** From 1, growing by one. */
  readonly number: number;
  readonly phase: CaPhase;
}

/** What a person asks of a rotation. */
export type CaStep = "switch" | "finish" | "cancel";

const phaseAfter = { switch: "switched", finish: "finished", cancel: "cancelled" } as const satisfies Record<
  CaStep,
  CaPhase
>;
const phaseBefore = { switch: "spreading", finish: "switched", cancel: "spreading" } as const;
const inWords: Readonly<Record<CaStep, string>> = {
  switch: "switch to the new CA",
  finish: "drop the old CA",
  cancel: "cancel",
};

/** Whether the fleet trusts two CAs now. */
export function isUnderWay({ phase }: CaRotation): boolean {
  return phase === "spreading" || phase === "switched";
}

/** The phase after a step. A step that was done already is done again without a change. */
export function stepCa(rotation: CaRotation | undefined, step: CaStep): Outcome<CaPhase> {
  if (rotation === undefined || (!isUnderWay(rotation) && rotation.phase !== phaseAfter[step])) {
    const why = `No rotation of the CA is under way: begin one with fleetctl trust ca rotate, then ${inWords[step]}`;
    return refuse({ kind: "precondition", why });
  }
  const { phase } = rotation;
  if (phase === phaseAfter[step] || phase === phaseBefore[step]) return accept(phaseAfter[step]);
  const why =
    step === "finish"
      ? "Servers present certificates of the old CA still: run fleetctl trust ca switch first"
      : "Servers present certificates of the new CA already: it cannot be taken back, finish the rotation and begin another";
  return refuse({ kind: "precondition", why });
}

/**
 * The version of the list of CAs that agents are sent; 0 when there was never more than the one they enrolled with. The
 * list changes when a CA is added and when one is dropped, and never goes back.
 */
export function caBundleVersion(rotation: CaRotation | undefined): number {
  if (rotation === undefined) return 0;
  return rotation.number * 2 - (isUnderWay(rotation) ? 1 : 0);
}

/** An agent as the gate sees it: of a cluster in the fleet, and not revoked. */
export interface GatedAgent {
  readonly cluster: string;
  readonly agent: string;
  readonly certificateExpiresMs: number;
  /** Pin of the CA that its certificate is from. */
  readonly certificateCa: string;
  /** Pins of the CAs that it proves to trust. */
  readonly trustedCas: readonly string[];
}

export interface CaGate {
  readonly agents: number;
  readonly trusting: number;
  readonly certified: number;
  /** CLUSTER/AGENT, in order. */
  readonly behind: readonly string[];
  readonly expired: number;
}

/**
 * Who keeps the next step from being done. Agents whose certificate has expired cannot come in anyhow: they enrol again,
 * and are not waited for.
 */
export function judgeCaGate(
  agents: readonly GatedAgent[],
  phase: CaPhase,
  newPin: string,
  nowMs: number,
): CaGate {
  const holding = agents.filter((each) => each.certificateExpiresMs > nowMs);
  const trusting = holding.filter((each) => each.trustedCas.includes(newPin));
  const certified = holding.filter((each) => each.certificateCa === newPin);
  const done = new Set(phase === "spreading" ? trusting : certified);
  const behind = holding.filter((each) => !done.has(each)).map(({ cluster, agent }) => `${cluster}/${agent}`);
  return {
    agents: holding.length,
    trusting: trusting.length,
    certified: certified.length,
    behind: behind.toSorted(),
    expired: agents.length - holding.length,
  };
}

const namedMax = 20;

/** Passes when everybody is ready or named as one who may be left behind: CLUSTER/AGENT, or CLUSTER for all of it. */
export function passCaGate(gate: CaGate, leaveBehind: readonly string[]): Outcome<readonly string[]> {
  const given = new Set(leaveBehind);
  const missing = gate.behind.filter((name) => !given.has(name) && !given.has(name.split("/")[0] ?? ""));
  if (missing.length === 0) return accept(gate.behind);
  const ready = gate.agents - gate.behind.length;
  const more = missing.length > namedMax ? ` and ${missing.length - namedMax} more` : "";
  return refuse({
    kind: "precondition",
    why:
      `${ready} of ${gate.agents} agents are ready; those that are not would lose the fleet until they enrol again: ` +
      `${missing.slice(0, namedMax).join(", ")}${more}. Wait, revoke or retire those that are gone, or name those to leave behind`,
  });
}

/**
 * Whether an agent is to fetch a certificate of the new CA now. Each has its own moment in a window after the switch, so
 * that a fleet does not come all at once; its usual renewal may be sooner.
 */
export function isTurnToRenew(
  agentId: string,
  switchedAtMs: number,
  nowMs: number,
  windowMs: number,
): boolean {
  let hash = 0x811c9dc5;
  for (let i = 0; i < agentId.length; i += 1) hash = Math.imul(hash ^ agentId.charCodeAt(i), 0x01000193);
  // The last letters of ids would all fall into one part of the window without this.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return nowMs - switchedAtMs >= ((hash >>> 0) / 2 ** 32) * windowMs;
}
