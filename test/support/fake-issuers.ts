import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { IssuerSchema, type Issuer, type IssuerService } from "#proto/fleet/v1/issuer";
import { readIssuerKeys } from "#trust";

const pin = `sha256:${"0".repeat(64)}`;
/** Nobody listens there. */
const joinAddress = `falconry://localhost:1?ca=${pin}&root=${pin}`;
const audience = "falconry:default";

/** Issuers that a test's fleet trusts. */
export class FakeIssuers {
  /** Newest first, also those that are not trusted any more. */
  readonly all: Issuer[] = [];

  service(): ServiceImpl<typeof IssuerService> {
    return {
      trustIssuer: ({ clusterName, clusterUid, labels, issuer: url, namespace, jwks }) => {
        const keys = readIssuerKeys(jwks);
        if (!keys.ok) throw new ConnectError(keys.refusal.message, Code.InvalidArgument);
        for (const each of this.#trusted(clusterName)) each.revokedAt = timestampFromMs(Date.now());
        const issuer = create(IssuerSchema, {
          id: `is_${this.all.length}`,
          clusterName,
          clusterUid,
          labels,
          issuer: url,
          subject: `system:serviceaccount:${namespace || "falconry"}:falconry-agent`,
          keyIds: keys.value.keys.map(({ kid }) => kid),
          keysDigest: keys.value.digest,
          createdAt: timestampFromMs(Date.now()),
          createdBy: "test",
        });
        this.all.unshift(issuer);
        return { issuer, joinAddress, audience };
      },
      listIssuers: ({ clusterName }) => ({ issuers: this.#trusted(clusterName), joinAddress, audience }),
      distrustIssuer: ({ id }) => {
        const issuer = this.all.find((each) => each.id === id);
        if (issuer === undefined) throw new ConnectError(`No such issuer: "${id}"`, Code.NotFound);
        issuer.revokedAt ??= timestampFromMs(Date.now());
        return { issuer };
      },
    };
  }

  #trusted(clusterName: string): Issuer[] {
    return this.all.filter(
      (each) => each.revokedAt === undefined && (clusterName === "" || each.clusterName === clusterName),
    );
  }
}
