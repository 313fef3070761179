import type { TrustStore } from "../../agent/trust-store.ts";
import {
  makeBundle,
  makeOnline,
  makeRelease,
  makeRoot,
  newKeys,
  valueOf,
  type Keys,
} from "../../trust/fixture.ts";
import { emptyTrusted, signAssignment, type RoleName, type Trusted } from "#trust";

/** What a server sends to an agent, as JSON for another process: metadata in base64, and assignments. */
export interface TrustSteps {
  readonly holder: { readonly org: string; readonly clusterId: string };
  readonly now: string;
  readonly steps: readonly TrustStep[];
}

export interface TrustStep {
  readonly metadata?: readonly { readonly role: RoleName; readonly body: string }[];
  readonly assignment?: {
    readonly payloadType: string;
    readonly payload: string;
    readonly signatures: readonly { readonly keyId: string; readonly signature: string }[];
  };
}

export function takeStep(store: TrustStore, { metadata, assignment }: TrustStep, now: Date): void {
  const bytes = (text: string) => new Uint8Array(Buffer.from(text, "base64"));
  if (metadata !== undefined) {
    store.update(
      metadata.map(({ role, body }) => ({
        $typeName: "agent.v1.Metadata",
        role,
        version: 0n,
        body: bytes(body),
      })),
      now,
    );
  }
  if (assignment !== undefined) {
    store.accept(
      {
        $typeName: "agent.v1.Envelope",
        payloadType: assignment.payloadType,
        payload: bytes(assignment.payload),
        signatures: assignment.signatures.map(({ keyId, signature }) => ({
          $typeName: "agent.v1.Signature",
          keyId,
          signature: bytes(signature),
        })),
      },
      now,
    );
  }
}

/** A fleet's history: releases that come whole or in pieces, assignments, and a root that replaces the online keys. */
export async function trustHistory(now: Date): Promise<{ begin: Trusted; history: TrustSteps }> {
  const holder = { org: "default", clusterId: "c-1" };
  const keys = newKeys();
  const root = await makeRoot(keys, now);
  const steps: TrustStep[] = [];
  const add = (...documents: readonly (readonly [RoleName, Uint8Array])[]) =>
    steps.push({ metadata: documents.map(([role, bytes]) => ({ role, body: base64(bytes) })) });
  const assign = async (by: Keys, generation: number) => {
    const expires = new Date(now.getTime() + 3_600_000);
    const assignment = { ...holder, generation, targets: [], notBefore: now, expires };
    const { payloadType, payload, signatures } = await signAssignment(assignment, by.assignment[0]!);
    const signed = signatures.map(({ keyId, signature }) => ({ keyId, signature: base64(signature) }));
    steps.push({ assignment: { payloadType, payload: base64(payload), signatures: signed } });
  };
  let targets: Uint8Array | undefined;
  for (let version = 1; version <= 4; version += 1) {
    const previous = targets === undefined ? undefined : { targets, version };
    const release = await makeRelease(keys, now, [makeBundle(`1.${version}.0`)], previous);
    ({ targets } = release);
    const { timestamp, snapshot } = release;
    if (version % 2 === 1) add(["timestamp", timestamp], ["snapshot", snapshot], ["targets", targets]);
    else {
      add(["timestamp", timestamp]);
      add(["snapshot", snapshot]);
      add(["targets", targets]);
    }
    await assign(keys, version * 10);
  }
  const next: Keys = { ...newKeys(), root: keys.root, targets: keys.targets };
  add(["root", await makeRoot(next, now, { version: 2, signers: keys.root })]);
  const online = await makeOnline(next, now, targets!, 1);
  add(["timestamp", online.timestamp], ["snapshot", online.snapshot]);
  await assign(next, 1);
  return {
    begin: valueOf(emptyTrusted(root)),
    history: { holder, now: now.toISOString(), steps },
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
