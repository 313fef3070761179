import type { Part } from "../view/parts.ts";
import type { Tone, Word } from "../view/words.ts";
import { Sign } from "./icons.tsx";

/** A state: a sign and a word. */
export function State({ word }: { readonly word: Word }) {
  return (
    <span className={`state tone-${word.tone}`}>
      <Sign tone={word.tone} />
      {word.text}
    </span>
  );
}

/** A word on a ground of its tone, for what stands in rows by the hundred. */
export function Badge({ tone, children }: { readonly tone: Tone; readonly children: string }) {
  return <span className={`badge tone-${tone}`}>{children}</span>;
}

/** How a whole is made up. The words are for who cannot see it. */
export function Bar({ parts, label }: { readonly parts: readonly Part[]; readonly label: string }) {
  const total = parts.reduce((sum, { count }) => sum + count, 0);
  const shown = parts.filter(({ count }) => count > 0);
  const words = shown.map(({ count, text }) => `${count} ${text}`).join(", ");
  return (
    <span className="bar" role="img" aria-label={`${label}: ${words === "" ? "none" : words}`}>
      {shown.map(({ tone, count, text }) => (
        <span key={text} className={`bar-part tone-${tone}`} style={{ flexGrow: count / total }} />
      ))}
    </span>
  );
}
