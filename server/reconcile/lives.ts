import type { Logger } from "pino";
import { lifeOf, lifeStage, lifeUsed, parseMetadata, roleNames } from "#trust";
import type { Life, LifeStage, RoleName } from "#trust";

import { findMetadata } from "../store/metadata.ts";
import type { Db } from "../store/pool.ts";

export interface RoleLife {
  readonly role: RoleName;
  readonly life: Life;
  /** The part of it that is over. */
  readonly used: number;
}

/** Watches how old the published metadata is, for the log and the metrics. */
export interface LivesWatch {
  /** Looks at what is published, and says once for each version and stage that half, 80 % or all of its life is over. */
  look(at: Date): Promise<void>;
  /** What the last look found, at this time. */
  now(at: Date): readonly RoleLife[];
}

const words = {
  aging: { level: "info", text: "half of its life is over" },
  expiring: { level: "warn", text: "80 % of its life is over" },
  expired: { level: "error", text: "it has expired: agents go on with what runs and start nothing new" },
} as const satisfies Record<Exclude<LifeStage, "fresh">, object>;

export function watchLives(db: Db, log: Pick<Logger, "info" | "warn" | "error">): LivesWatch {
  let held: readonly { readonly role: RoleName; readonly life: Life }[] = [];
  const said = new Map<RoleName, string>();
  return {
    look: async (at) => {
      const found: { role: RoleName; life: Life }[] = [];
      for (const role of roleNames) {
        const row = await findMetadata(db, role);
        if (row === undefined) continue;
        const document = parseMetadata(role, row.body);
        if (!document.ok) throw new Error(document.refusal.message);
        const life = lifeOf(document.value);
        found.push({ role, life });
        const stage = lifeStage(role, life, at);
        const news = `${row.version} ${stage}`;
        if (stage !== "fresh" && said.get(role) !== news) {
          const { level, text } = words[stage];
          const who = role === "root" || role === "targets" ? "its signers have" : "this server has";
          const fields = { role, version: String(row.version), stage, expires: life.ends.toISOString() };
          log[level](fields, `trust metadata ${role} ${row.version}: ${text}; ${who} to sign it anew`);
        }
        said.set(role, news);
      }
      held = found;
    },
    now: (at) => held.map(({ role, life }) => ({ role, life, used: lifeUsed(life, at) })),
  };
}
