/** A request that is made to see how long it takes until its alert is with the server. */
const canaryMark = "falconry-canary-";
/** Canaries are short. Whoever calls something long so does not make an alert that the server refuses for its length. */
const bodyLengthMax = 16_384;

/** Whether an alert is about a canary. Anybody may name a thing so: such an alert says when it was where, and nothing else. */
export function isCanary(body: string): boolean {
  return body.length <= bodyLengthMax && body.includes(canaryMark);
}

/** When an alert was where in an agent, in ms since the epoch by the agent's clock. */
export interface CanaryHops {
  readonly readMs: number;
  readonly matchedMs: number;
  readonly sentMs: number;
}

/** The JSON object of an alert with the times of a canary beside what Falco has in it. */
export function withHops(body: string, hops: CanaryHops): string {
  return `${body.slice(0, body.lastIndexOf("}"))},"falconry_hops":${JSON.stringify(hops)}}`;
}
