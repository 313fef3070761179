import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  ApiTokenSchema,
  JoinTokenSchema,
  type ApiToken as ApiTokenMessage,
  type JoinToken as JoinTokenMessage,
  type TokenService,
} from "#proto/fleet/v1/token";
import { formatJoinString, rootPin } from "#trust";

import {
  judgeJoinScope,
  parseApiTokenRequest,
  parseJoinTokenRequest,
  type ApiTokenWish,
  type JoinTokenWish,
} from "../domain/token.ts";
import type { Permission } from "../domain/permission.ts";
import { refuse } from "../domain/refusal.ts";
import { newId, newSecret } from "../secrets.ts";
import { insertApiToken, listApiTokens, revokeApiToken, type ApiToken } from "../store/api-tokens.ts";
import { insertJoinToken, listJoinTokens, revokeJoinToken, type JoinToken } from "../store/join-tokens.ts";
import { findMetadata } from "../store/metadata.ts";
import type { Database, Db } from "../store/pool.ts";
import type { Audit } from "./audit.ts";
import { operatorOf, scopeOf, type Operator } from "./caller.ts";
import { fromScope, toSelector, toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const tokenPermissions = {
  createJoinToken: "join-token:write",
  listJoinTokens: "join-token:read",
  revokeJoinToken: "join-token:write",
  createApiToken: "api-token:write",
  listApiTokens: "api-token:read",
  revokeApiToken: "api-token:write",
} satisfies Record<keyof (typeof TokenService)["method"], Permission>;

export interface TokenServiceOptions {
  readonly db: Database;
  readonly audit: Audit;
  /** Where agents reach the fleet, for join strings. */
  readonly publicAddress: () => { readonly host: string; readonly port: number };
  /** "sha256:" and hex, over the public key of each CA that servers present or will present next. */
  readonly caPins: () => readonly string[];
  readonly now: () => Date;
}

const listMax = 1_000;

export function tokenService(options: TokenServiceOptions): ServiceImpl<typeof TokenService> {
  const { db, audit, now } = options;
  return {
    async createJoinToken(request, context) {
      const by = operatorOf(context);
      const wanted = orRefuse(parseJoinTokenRequest(request));
      orRefuse(judgeJoinScope(by.scope, wanted));
      const root = await findMetadata(db, "root");
      if (root === undefined) {
        const why =
          "No trust root has been published, so agents could not verify anything: run fleetctl trust init first";
        return orRefuse(refuse({ kind: "precondition", why }));
      }
      const { secret, row } = newJoinToken(wanted, by, now());
      const token = await insertJoinToken(db, row, audit.note(context, request));
      const joinString = formatJoinString({
        tokenId: token.id,
        secret,
        ...options.publicAddress(),
        caPins: options.caPins(),
        rootPin: rootPin(root.body),
      });
      return { token: toJoinToken(token), joinString };
    },
    async listJoinTokens(_request, context) {
      return { tokens: (await listJoinTokens(db, scopeOf(context), listMax)).map(toJoinToken) };
    },
    async revokeJoinToken(request, context) {
      const note = audit.note(context, request);
      const revoked = await revokeJoinToken(db, scopeOf(context), request.id, now(), note);
      return { token: toJoinToken(orRefuse(revoked)) };
    },
    async createApiToken(request, context) {
      const by = operatorOf(context);
      const scope = fromScope("scope", request.scope);
      const wanted = orRefuse(parseApiTokenRequest(request, scope, by.scope));
      const { token, secret } = await db.transaction(async (tx) => {
        const made = await createApiToken(tx, wanted, by.name, now());
        await audit.note(context, request)(tx, { target: made.token.id });
        return made;
      });
      return { token: toApiToken(token), secret };
    },
    async listApiTokens(_request, context) {
      const tokens = await listApiTokens(db, scopeOf(context), listMax, now());
      return { tokens: tokens.map(toApiToken) };
    },
    async revokeApiToken(request, context) {
      const note = audit.note(context, request);
      const revoked = await revokeApiToken(db, scopeOf(context), request.id, now(), note);
      return { token: toApiToken(orRefuse(revoked)) };
    },
  };
}

function newJoinToken(wanted: JoinTokenWish, by: Operator, createdAt: Date) {
  const { secret, hash } = newSecret();
  const row = {
    id: newId("join token"),
    secretHash: hash,
    labels: wanted.labels,
    clusterName: wanted.clusterName,
    clusterUid: wanted.clusterUid,
    cidr: wanted.cidr,
    usesMax: wanted.usesMax,
    expiresAt: new Date(createdAt.getTime() + wanted.ttlMs),
    createdAt,
    createdBy: by.name,
    scope: by.scope,
  };
  return { secret, row };
}

/** The identity for which a login makes a token. */
export interface Login {
  readonly issuer: string;
  readonly subject: string;
}

/** Stores a new API token and answers with what its holder sends: ID.SECRET, which is nowhere else. */
export async function createApiToken(
  db: Db,
  wanted: ApiTokenWish,
  createdBy: string,
  now: Date,
  login?: Login,
): Promise<{ readonly token: ApiToken; readonly secret: string }> {
  const { secret, hash } = newSecret();
  const token: ApiToken = {
    id: newId("API token"),
    name: wanted.name,
    secretHash: hash,
    role: wanted.role,
    expiresAt: new Date(now.getTime() + wanted.ttlMs),
    createdAt: now,
    createdBy,
    lastUsedAt: null,
    revokedAt: null,
    scope: wanted.scope,
    issuer: login?.issuer ?? null,
    subject: login?.subject ?? null,
  };
  await insertApiToken(db, token);
  return { token, secret: `${token.id}.${secret}` };
}

function toJoinToken(token: JoinToken): JoinTokenMessage {
  return create(JoinTokenSchema, {
    id: token.id,
    labels: { ...token.labels },
    clusterName: token.clusterName ?? "",
    clusterUid: token.clusterUid ?? "",
    cidr: token.cidr ?? "",
    usesMax: token.usesMax,
    uses: token.uses,
    expiresAt: toTimestamp(token.expiresAt),
    createdAt: toTimestamp(token.createdAt),
    revokedAt: toTimestamp(token.revokedAt),
    createdBy: token.createdBy,
  });
}

function toApiToken(token: ApiToken): ApiTokenMessage {
  return create(ApiTokenSchema, {
    id: token.id,
    name: token.name,
    role: token.role,
    expiresAt: toTimestamp(token.expiresAt),
    createdAt: toTimestamp(token.createdAt),
    lastUsedAt: toTimestamp(token.lastUsedAt),
    revokedAt: toTimestamp(token.revokedAt),
    scope: toSelector(token.scope),
    createdBy: token.createdBy,
    issuer: token.issuer ?? "",
  });
}
