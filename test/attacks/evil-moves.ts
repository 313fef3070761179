import type { Envelope, TargetRef } from "#trust";
import { bundleOf } from "./evil-keys.ts";
import type { Published } from "./evil-keys.ts";
import type { Word } from "./evil-server.ts";
import { execRule, wireEnvelope } from "./evil-world.ts";
import type { EvilWorld } from "./evil-world.ts";

/** How the agent has to take a move. */
export type Expected =
  /** It says so, under a condition, with this code. */
  | { readonly condition: string; readonly code: string }
  /** It refuses the bundle of the newest assignment, with this reason. */
  | { readonly attempt: "rules" | "shipper"; readonly reason: string }
  /** There is nothing to refuse: what the server says changes nothing. */
  | "unmoved";

/** Something that an attacker with the server, its database and all its online keys tries. */
export interface Move {
  readonly name: string;
  /** The row of the list of threats. */
  readonly row: "T1" | "T5" | "T6" | "T14";
  readonly expected: Expected;
  readonly play: (world: EvilWorld) => Promise<readonly Word[]>;
}

type Row = Move["row"];
type Forge<T> = (world: EvilWorld) => Promise<T>;

export function assignment(row: Row, name: string, code: string, forge: Forge<Envelope>): Move {
  const play = async (world: EvilWorld) => [{ assignment: wireEnvelope(await forge(world)) }];
  return { name, row, expected: { condition: "assignment/refused", code }, play };
}

export function metadata(row: Row, name: string, code: string, forge: Forge<Partial<Published>>): Move {
  const play = async (world: EvilWorld) => [{ metadata: world.metadata(await forge(world)) }];
  return { name, row, expected: { condition: "metadata/refused", code }, play };
}

/** An assignment that is signed and for this cluster, of something that must not run. */
export function target(
  row: Row,
  name: string,
  [attempt, reason]: readonly ["rules" | "shipper", string],
  choose: (world: EvilWorld) => TargetRef | Promise<TargetRef>,
): Move {
  const play = async (world: EvilWorld): Promise<readonly Word[]> => {
    const wanted = await choose(world);
    return [{ metadata: world.metadata(), assignment: wireEnvelope(await world.assign(wanted)) }];
  };
  return { name, row, expected: { attempt, reason }, play };
}

export function unmoved(row: Row, name: string, play: Forge<readonly Word[]>): Move {
  return { name, row, expected: "unmoved", play };
}

export const evilRules = bundleOf("rules", "watch", "6.6.6", execRule.replace("exec\n", "never\n"));
/** Makes versions that are new, for bundles that are released during a move. */
export function newVersion(): string {
  forged += 1;
  return `1.0.${forged}`;
}

let forged = 0;
