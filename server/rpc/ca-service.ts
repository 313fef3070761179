import { X509Certificate } from "node:crypto";

import { create, type Message } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  CaGateSchema,
  CaRotationSchema,
  CaSchema,
  GetCaResponseSchema,
  type CaGate as CaGateMessage,
  type CaService,
  type GetCaResponse,
} from "#proto/fleet/v1/ca";
import { certificateToPem, createCa, sealCaKey, spkiPin } from "#trust";

import type { CaKeeper } from "../ca-keeper.ts";
import { isUnderWay, judgeCaGate, passCaGate, type CaStep } from "../domain/ca-rotation.ts";
import type { Permission } from "../domain/permission.ts";
import { accept, invalid, type Outcome } from "../domain/refusal.ts";
import { isWholeFleet, wholeFleet, type Scope } from "../domain/scope.ts";
import {
  beginCaRotation,
  listGatedAgents,
  listUsableTokensBefore,
  newestCaRotation,
  stepCaRotation,
  type CaDecision,
  type CaRotationRow,
} from "../store/ca-rotations.ts";
import { listClusters } from "../store/clusters.ts";
import type { Database, Db } from "../store/pool.ts";
import type { Audit } from "./audit.ts";
import { operatorOf, scopeOf } from "./caller.ts";
import { toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const caPermissions = {
  getCa: "trust:read",
  rotateCa: "trust:write",
  switchCa: "trust:write",
  finishCa: "trust:write",
  cancelCa: "trust:write",
} satisfies Record<keyof (typeof CaService)["method"], Permission>;

export interface CaServiceOptions {
  readonly db: Database;
  readonly org: string;
  readonly audit: Audit;
  readonly keeper: CaKeeper;
  readonly now: () => Date;
}

const behindShownMax = 1_000;
const leaveBehindMax = 10_000;
const nameCharsMax = 200;

export function caService(options: CaServiceOptions): ServiceImpl<typeof CaService> {
  const { db, org, audit, keeper, now } = options;
  async function step(
    which: CaStep,
    request: Message & { readonly leaveBehind?: readonly string[] },
    context: HandlerContext,
  ): Promise<{ ca: GetCaResponse }> {
    const { leaveBehind = [] } = request;
    if (leaveBehind.length > leaveBehindMax || leaveBehind.some((name) => name.length > nameCharsMax)) {
      const why = `at most ${leaveBehindMax} names of at most ${nameCharsMax} characters are taken`;
      return orRefuse(invalid("leave_behind", why));
    }
    const by = operatorOf(context).name;
    orRefuse(
      await stepCaRotation(
        db,
        which,
        (tx, row) => decide(tx, row, { which, leaveBehind, by, now: now() }),
        audit.note(context, request),
      ),
    );
    await keeper.refresh();
    return { ca: await show(options, scopeOf(context)) };
  }
  return {
    getCa: (_request, context) => show(options, scopeOf(context)),
    async rotateCa(request, context) {
      await keeper.refresh();
      const { issuer } = keeper.current();
      const startedAt = now();
      const next = await createCa({ org, now: startedAt });
      orRefuse(
        await beginCaRotation(
          db,
          {
            fromPin: issuer.pin,
            fromCertificate: issuer.certificate,
            toPin: spkiPin(next.certificate),
            toCertificate: next.certificate,
            toKey: sealCaKey(next, issuer),
            startedAt,
            startedBy: operatorOf(context).name,
          },
          audit.note(context, request),
        ),
      );
      await keeper.refresh();
      return { ca: await show(options, scopeOf(context)) };
    },
    switchCa: (request, context) => step("switch", request, context),
    finishCa: (request, context) => step("finish", request, context),
    cancelCa: (request, context) => step("cancel", request, context),
  };
}

interface Asked {
  readonly which: CaStep;
  readonly leaveBehind: readonly string[];
  readonly by: string;
  readonly now: Date;
}

async function decide(tx: Db, row: CaRotationRow, asked: Asked): Promise<Outcome<CaDecision>> {
  const { now, by } = asked;
  if (asked.which === "cancel") return accept({ now, by, leftBehind: [] });
  // A step reaches every agent, so it waits for every agent.
  const gate = judgeCaGate(await listGatedAgents(tx, wholeFleet), row.phase, row.toPin, now.getTime());
  const passed = passCaGate(gate, asked.leaveBehind);
  return passed.ok ? accept({ now, by, leftBehind: passed.value }) : passed;
}

/** Of agents and tokens only those of the scope are named and counted. */
async function show({ db, keeper, now }: CaServiceOptions, scope: Scope): Promise<GetCaResponse> {
  const { issuer, trusted } = keeper.current();
  const row = await newestCaRotation(db);
  return create(GetCaResponseSchema, {
    authorities: trusted.map((der) => {
      const pin = spkiPin(der);
      return create(CaSchema, {
        pin,
        certificate: certificateToPem(der),
        expiresAt: toTimestamp(new Date(new X509Certificate(der).validTo)),
        isPresented: pin === issuer.pin,
      });
    }),
    ...(row === undefined ? {} : { rotation: toRotation(row, await leftBehindIn(db, scope, row)) }),
    ...(row === undefined || !isUnderWay(row) ? {} : { gate: await toGate(db, scope, row, now()) }),
  });
}

/** Names stay when agents are gone, so the cluster in each decides. */
async function leftBehindIn(db: Db, scope: Scope, { leftBehind }: CaRotationRow): Promise<readonly string[]> {
  if (leftBehind.length === 0 || isWholeFleet(scope)) return leftBehind;
  const all = await listClusters(db, { scope, selector: [], includeRetired: true });
  const names = new Set(all.map(({ name }) => name));
  return leftBehind.filter((agent) => names.has(agent.split("/")[0] ?? ""));
}

function toRotation(row: CaRotationRow, leftBehind: readonly string[]) {
  return create(CaRotationSchema, {
    number: row.number,
    phase: row.phase,
    fromPin: row.fromPin,
    toPin: row.toPin,
    startedAt: toTimestamp(row.startedAt),
    startedBy: row.startedBy,
    switchedAt: toTimestamp(row.switchedAt),
    switchedBy: row.switchedBy ?? "",
    endedAt: toTimestamp(row.endedAt),
    endedBy: row.endedBy ?? "",
    leftBehind: leftBehind.slice(0, behindShownMax),
  });
}

async function toGate(db: Db, scope: Scope, row: CaRotationRow, now: Date): Promise<CaGateMessage> {
  const gate = judgeCaGate(await listGatedAgents(db, scope), row.phase, row.toPin, now.getTime());
  return create(CaGateSchema, {
    ...gate,
    behind: gate.behind.slice(0, behindShownMax),
    oldTokenIds: [...(await listUsableTokensBefore(db, scope, row.startedAt, now))],
  });
}
