import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { TrustService } from "#proto/fleet/v1/trust";
import { initTrust, onlineKeysOf, rootFile } from "../trust/init-trust.ts";
import { part } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";

/**
 * Makes the offline keys of this fleet and publishes the root that names them and the server's online keys. Unsealed,
 * because this fleet is for trying things; `fleetctl trust init` asks for a passphrase.
 */
export async function establishTrust(fleet: Fleet): Promise<string> {
  const client = part(fleet, "connection").client(TrustService);
  const { org, onlineKeys, roles } = await client.getTrust({});
  const dir = fleet.layout.trust;
  const file = join(dir, rootFile);
  if (!existsSync(file)) {
    await initTrust({
      dir,
      org,
      onlineKeys: onlineKeysOf(onlineKeys),
      passphrase: undefined,
      now: new Date(),
    });
  }
  const published = roles.find((role) => role.role === "root");
  if (published !== undefined && published.version > 0n) {
    return `root ${published.version}, as before; keys in ${dir}`;
  }
  const { root } = await client.publishRoot({ root: readFileSync(file) });
  return `root ${root?.version} published; offline keys in ${dir}`;
}
