import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { BundleSchema, type Bundle, type BundleService } from "#proto/fleet/v1/bundle";
import { BundleKind, BundleRefSchema } from "#proto/fleet/v1/common";
import type { TrustService } from "#proto/fleet/v1/trust";
import {
  bundleDigest,
  checkNextLayerList,
  checkNextRoot,
  checkNextTargets,
  type Checked,
  describeLayer,
  generateKey,
  layerOfRole,
  type OnlineKeys,
  parseBundle,
  parseLayerRelease,
  readRoot,
  readTargets,
  targetPath,
} from "#trust";

/** Trust root, targets metadata and bundles of the fake fleet, checked with the code that a server checks them with. */
export class FakeReleases {
  readonly bundles: Bundle[] = [];
  readonly contents: Map<string, Uint8Array> = new Map<string, Uint8Array>();
  onlineKeys: OnlineKeys = newOnlineKeys();
  waitingKeys: OnlineKeys | undefined;
  /** What agents are said to hold. */
  holders: { readonly rootVersion: bigint; readonly targetsVersion: bigint; readonly agents: number }[] = [];
  root: Uint8Array | undefined;
  targets: Uint8Array | undefined;
  /** Lists of layers that teams own, by the layer's name. */
  readonly lists: Map<string, Uint8Array> = new Map<string, Uint8Array>();

  trust(): ServiceImpl<typeof TrustService> {
    return {
      getTrust: () => {
        const root =
          this.root === undefined
            ? []
            : [{ role: "root", version: BigInt(orThrow(readRoot(this.root)).version) }];
        const waitingKeys = this.waitingKeys === undefined ? [] : listKeys(this.waitingKeys);
        const { holders } = this;
        return { org: "default", onlineKeys: listKeys(this.onlineKeys), roles: root, waitingKeys, holders };
      },
      prepareOnlineKeys: () => {
        this.waitingKeys ??= newOnlineKeys();
        return { onlineKeys: listKeys(this.waitingKeys) };
      },
      publishRoot: ({ root }) => {
        const { waitingKeys } = this;
        const view = orThrow(readRoot(root));
        const isRotated =
          waitingKeys !== undefined && view.roles.timestamp.keys.has(waitingKeys.timestamp.keyId);
        const keys = isRotated ? waitingKeys : this.onlineKeys;
        const { version, document } = orThrow(checkNextRoot(this.root, root, keys, new Date()));
        this.root = root;
        this.onlineKeys = keys;
        if (isRotated) this.waitingKeys = undefined;
        return {
          root: {
            role: "root",
            version: BigInt(version),
            expiresAt: timestampFromMs(document.expires.getTime()),
          },
        };
      },
      getMetadata: ({ role }) => {
        const list = this.lists.get(layerOfRole(role) ?? "");
        const metadata = role === "root" ? this.root : role === "targets" ? this.targets : list;
        if (metadata === undefined) throw new ConnectError(`There is no ${role} metadata yet`, Code.NotFound);
        return { metadata, version: 1n };
      },
    };
  }

  service(): ServiceImpl<typeof BundleService> {
    return {
      listBundles: ({ kind }) => ({
        bundles: this.bundles.filter(({ ref }) => kind === BundleKind.UNSPECIFIED || ref?.kind === kind),
      }),
      getBundle: ({ bundle: wanted }) => {
        const bundle = this.bundles.find(
          ({ ref }) =>
            wanted === ref?.name || wanted === `${ref?.name}@${ref?.version}` || wanted === ref?.digest,
        );
        const content = this.contents.get(bundle?.ref?.digest ?? "");
        if (bundle === undefined || content === undefined) {
          throw new ConnectError(`There is no bundle "${wanted}"`, Code.NotFound);
        }
        return { bundle, content };
      },
      pushBundles: ({ bundles, targets }) => {
        if (this.root === undefined) {
          throw new ConnectError("No trust root was published", Code.FailedPrecondition);
        }
        const view = orThrow(checkNextTargets(this.root, this.targets, targets, new Date()));
        const pushed = bundles.map((bytes) => {
          const parsed = orThrow(parseBundle(bytes));
          const digest = bundleDigest(bytes);
          if (`sha256:${view.listed.get(targetPath(parsed))?.sha256}` !== digest) {
            throw new ConnectError(
              `Targets do not list ${targetPath(parsed)} with ${digest}`,
              Code.InvalidArgument,
            );
          }
          const kind = parsed.kind === "rules" ? BundleKind.RULES : BundleKind.SHIPPER;
          const ref = create(BundleRefSchema, { kind, name: parsed.name, version: parsed.version, digest });
          this.contents.set(digest, bytes);
          return create(BundleSchema, {
            ref,
            length: BigInt(bytes.length),
            targetPath: targetPath(parsed),
            targetsVersion: BigInt(view.version),
            listed: true,
            pushedAt: timestampFromMs(Date.now()),
            pushedBy: "test",
          });
        });
        this.targets = targets;
        this.bundles.unshift(...pushed);
        return { bundles: pushed };
      },
      pushLayer: ({ layer, releases, list }) => {
        const targets = orThrow(readTargets(this.targets ?? new Uint8Array()));
        const before = this.lists.get(layer);
        const view = orThrow(checkNextLayerList(targets.document, layer, before, list, new Date()));
        const pushed = releases.map((bytes) => {
          const { digest, release, target } = describeLayer(orThrow(parseLayerRelease(bytes)), bytes);
          if (view.listed.get(target.path)?.sha256 !== target.sha256) {
            throw new ConnectError(`The list does not name ${target.path}`, Code.InvalidArgument);
          }
          const { name, version } = release;
          this.contents.set(digest, bytes);
          return create(BundleSchema, {
            ref: create(BundleRefSchema, { kind: BundleKind.LAYER, name, version, digest }),
            length: BigInt(bytes.length),
            targetPath: target.path,
            targetsVersion: BigInt(view.version),
            listed: true,
            pushedAt: timestampFromMs(Date.now()),
            pushedBy: "test",
          });
        });
        this.lists.set(layer, list);
        this.bundles.unshift(...pushed);
        return { bundles: pushed };
      },
    };
  }
}

function newOnlineKeys(): OnlineKeys {
  return {
    snapshot: generateKey().publicKey,
    timestamp: generateKey().publicKey,
    assignment: generateKey().publicKey,
  };
}

function listKeys(keys: OnlineKeys) {
  return Object.entries(keys).map(([role, { keyId, keyval }]) => ({ role, keyId, publicKey: keyval.public }));
}

function orThrow<T>(checked: Checked<T>): T {
  if (checked.ok) return checked.value;
  throw new ConnectError(`${checked.refusal.message} (${checked.refusal.code})`, Code.FailedPrecondition);
}
