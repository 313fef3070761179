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

import { parseApiTokenRequest, parseJoinTokenRequest } from "../domain/token.ts";
import type { Permission } from "../domain/permission.ts";
import { refuse } from "../domain/refusal.ts";
import { newId, newSecret } from "../secrets.ts";
import { insertApiToken, listApiTokens, revokeApiToken, type ApiToken } from "../store/api-tokens.ts";
import { insertJoinToken, listJoinTokens, revokeJoinToken, type JoinToken } from "../store/join-tokens.ts";
import { findMetadata } from "../store/metadata.ts";
import type { Db } from "../store/pool.ts";
import { operatorOf } from "./caller.ts";
import { toTimestamp } from "./messages.ts";
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
  readonly db: Db;
  /** Where agents reach the fleet, for join strings. */
  readonly publicAddress: () => { readonly host: string; readonly port: number };
  /** "sha256:" and hex, over the public key of each CA that servers present or will present next. */
  readonly caPins: () => readonly string[];
  readonly now: () => Date;
}

const listMax = 1_000;

export function tokenService(options: TokenServiceOptions): ServiceImpl<typeof TokenService> {
  const { db, now } = options;
  return {
    async createJoinToken(request, context) {
      const wanted = orRefuse(parseJoinTokenRequest(request));
      const root = await findMetadata(db, "root");
      if (root === undefined) {
        const why =
          "No trust root has been published, so agents could not verify anything: run fleetctl trust init first";
        return orRefuse(refuse({ kind: "precondition", why }));
      }
      const { secret, hash } = newSecret();
      const createdAt = now();
      const token = await insertJoinToken(db, {
        id: newId("join token"),
        secretHash: hash,
        labels: wanted.labels,
        clusterName: wanted.clusterName,
        clusterUid: wanted.clusterUid,
        cidr: wanted.cidr,
        usesMax: wanted.usesMax,
        expiresAt: new Date(createdAt.getTime() + wanted.ttlMs),
        createdAt,
        createdBy: operatorOf(context).name,
      });
      const joinString = formatJoinString({
        tokenId: token.id,
        secret,
        ...options.publicAddress(),
        caPins: options.caPins(),
        rootPin: rootPin(root.body),
      });
      return { token: toJoinToken(token), joinString };
    },
    async listJoinTokens() {
      return { tokens: (await listJoinTokens(db, listMax)).map(toJoinToken) };
    },
    async revokeJoinToken(request) {
      return { token: toJoinToken(orRefuse(await revokeJoinToken(db, request.id, now()))) };
    },
    async createApiToken(request, context) {
      const wanted = orRefuse(parseApiTokenRequest(request));
      const { token, secret } = await createApiToken(db, wanted, operatorOf(context).name, now());
      return { token: toApiToken(token), secret };
    },
    async listApiTokens() {
      return { tokens: (await listApiTokens(db, listMax)).map(toApiToken) };
    },
    async revokeApiToken(request) {
      return { token: toApiToken(orRefuse(await revokeApiToken(db, request.id, now()))) };
    },
  };
}

/** Stores a new API token and answers with what its holder sends: ID.SECRET, which is nowhere else. */
export async function createApiToken(
  db: Db,
  wanted: { readonly name: string; readonly role: ApiToken["role"]; readonly ttlMs: number },
  createdBy: string,
  now: Date,
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
  });
}
