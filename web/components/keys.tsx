import { useEffect, useState, type RefObject } from "react";
import { Dialog } from "./dialog.tsx";
import { navigate } from "./router.tsx";

/** Where `g` and a letter lead. */
export const places = [
  { letter: "f", to: "/", name: "Fleet", icon: "fleet" },
  { letter: "c", to: "/clusters", name: "Clusters", icon: "clusters" },
  { letter: "r", to: "/rollouts", name: "Rollouts", icon: "rollouts" },
  { letter: "b", to: "/bundles", name: "Bundles", icon: "bundles" },
  { letter: "u", to: "/rules", name: "Rules", icon: "rules" },
  { letter: "a", to: "/alerts", name: "Alerts", icon: "alerts" },
  { letter: "p", to: "/reports", name: "Reports", icon: "reports" },
  { letter: "l", to: "/audit", name: "Audit log", icon: "audit" },
] as const;

/** Letters are for what is typed into, and keys with a modifier for the browser. */
function isForUs(event: KeyboardEvent): boolean {
  const { target } = event;
  const isTyping = target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
  return (
    !isTyping &&
    !event.ctrlKey &&
    !event.metaKey &&
    !event.altKey &&
    document.querySelector("dialog[open]") === null
  );
}

const chordMs = 1_200;

/** The keys that work everywhere. */
export function GlobalKeys() {
  const [isHelpOpen, setIsHelpOpen] = useState(false);
  useEffect(() => {
    let chordUntil = 0;
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape" && event.target instanceof HTMLInputElement) {
        // Browsers empty a search field on Escape; what was looked for stays.
        event.preventDefault();
        event.target.blur();
        return;
      }
      if (!isForUs(event)) return;
      const place = places.find(({ letter }) => letter === event.key);
      if (place !== undefined && performance.now() < chordUntil) {
        event.preventDefault();
        chordUntil = 0;
        navigate(place.to);
        return;
      }
      chordUntil = event.key === "g" ? performance.now() + chordMs : 0;
      if (event.key === "?") setIsHelpOpen(true);
      if (event.key === "/") {
        event.preventDefault();
        document.querySelector<HTMLInputElement>("[data-filter]")?.focus();
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
  return isHelpOpen ? <Help onClose={() => setIsHelpOpen(false)} /> : undefined;
}

const keys: readonly (readonly [keys: string, what: string])[] = [
  ["/", "to the filter"],
  ["j k", "down and up in a list"],
  ["Enter", "open"],
  ["Escape", "close, or leave the filter"],
  ["?", "this list"],
];

function Help({ onClose }: { readonly onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className="keys">
        {[...keys, ...places.map(({ letter, name }) => [`g ${letter}`, `to ${name}`] as const)].map(
          ([key, what]) => (
            <div key={key}>
              <dt>
                {key.split(" ").map((each) => (
                  <kbd key={each}>{each}</kbd>
                ))}
              </dt>
              <dd>{what}</dd>
            </div>
          ),
        )}
      </dl>
    </Dialog>
  );
}

/** j and k go through the links of a list's rows, also to those that are not drawn yet. */
export function useRowKeys(
  body: RefObject<HTMLElement | null>,
  count: number,
  show: (index: number) => void,
): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.key !== "j" && event.key !== "k") || !isForUs(event) || count === 0) return;
      event.preventDefault();
      const here = document.activeElement?.closest<HTMLElement>("[data-row]")?.dataset["row"];
      const step = event.key === "j" ? 1 : -1;
      const next = here === undefined ? 0 : Math.min(count - 1, Math.max(0, Number(here) + step));
      const focus = () => {
        const link = body.current?.querySelector<HTMLElement>(`[data-row="${next}"] :is(a, button)`);
        link?.focus();
        return link !== undefined && link !== null;
      };
      if (focus()) return;
      show(next);
      requestAnimationFrame(focus);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  });
}
