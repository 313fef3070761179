import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { IssuerSchema, type Issuer as IssuerMessage, type IssuerService } from "#proto/fleet/v1/issuer";
import { formatJoinAddress, readIssuerKeys, rootPin } from "#trust";

import { audienceOf, judgeIssuerScope, parseIssuerRequest } from "../domain/issuer.ts";
import type { Permission } from "../domain/permission.ts";
import { refuse } from "../domain/refusal.ts";
import { newId } from "../secrets.ts";
import { distrustIssuer, listIssuers, trustIssuer, type Issuer } from "../store/issuers.ts";
import { findMetadata } from "../store/metadata.ts";
import type { Database } from "../store/pool.ts";
import { fromTrust } from "../trust-refusal.ts";
import type { Audit } from "./audit.ts";
import { operatorOf, scopeOf } from "./caller.ts";
import { toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const issuerPermissions = {
  trustIssuer: "issuer:write",
  listIssuers: "issuer:read",
  distrustIssuer: "issuer:write",
} satisfies Record<keyof (typeof IssuerService)["method"], Permission>;

export interface IssuerServiceOptions {
  readonly db: Database;
  readonly org: string;
  readonly audit: Audit;
  /** Where agents reach the fleet, for join addresses. */
  readonly publicAddress: () => { readonly host: string; readonly port: number };
  /** "sha256:" and hex, over the public key of each CA that servers present or will present next. */
  readonly caPins: () => readonly string[];
  readonly now: () => Date;
}

const listMax = 10_000;

export function issuerService(options: IssuerServiceOptions): ServiceImpl<typeof IssuerService> {
  const { db, org, audit, now } = options;
  const audience = audienceOf(org);
  const joinAddress = async (): Promise<string | undefined> => {
    const root = await findMetadata(db, "root");
    if (root === undefined) return undefined;
    return formatJoinAddress({
      ...options.publicAddress(),
      caPins: options.caPins(),
      rootPin: rootPin(root.body),
    });
  };
  return {
    async trustIssuer(request, context) {
      const by = operatorOf(context);
      const wanted = orRefuse(parseIssuerRequest(request));
      const keys = readIssuerKeys(request.jwks);
      if (!keys.ok) return orRefuse(refuse(fromTrust("jwks", keys.refusal)));
      orRefuse(judgeIssuerScope(by.scope, wanted));
      const address = await joinAddress();
      if (address === undefined) {
        const why =
          "No trust root has been published, so agents could not verify anything: run fleetctl trust init first";
        return orRefuse(refuse({ kind: "precondition", why }));
      }
      const row = {
        id: newId("issuer"),
        ...wanted,
        keys: keys.value.keys,
        keysDigest: keys.value.digest,
        scope: by.scope,
        createdAt: now(),
        createdBy: by.name,
      };
      const issuer = await trustIssuer(db, by.scope, row, audit.note(context, request));
      return { issuer: toIssuer(issuer), joinAddress: address, audience };
    },
    async listIssuers({ clusterName }, context) {
      const issuers = await listIssuers(db, scopeOf(context), clusterName, listMax);
      return { issuers: issuers.map(toIssuer), joinAddress: (await joinAddress()) ?? "", audience };
    },
    async distrustIssuer(request, context) {
      const note = audit.note(context, request);
      const distrusted = await distrustIssuer(db, scopeOf(context), request.id, now(), note);
      return { issuer: toIssuer(orRefuse(distrusted)) };
    },
  };
}

function toIssuer(issuer: Issuer): IssuerMessage {
  return create(IssuerSchema, {
    id: issuer.id,
    clusterName: issuer.clusterName,
    clusterUid: issuer.clusterUid,
    labels: { ...issuer.labels },
    issuer: issuer.issuer,
    subject: issuer.subject,
    keyIds: issuer.keys.map(({ kid }) => kid),
    keysDigest: issuer.keysDigest,
    createdAt: toTimestamp(issuer.createdAt),
    createdBy: issuer.createdBy,
    revokedAt: toTimestamp(issuer.revokedAt),
  });
}
