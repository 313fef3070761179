import {
  useCallback,
  useSyncExternalStore,
  type AnchorHTMLAttributes,
  type MouseEvent,
  type ReactNode,
} from "react";

/** The address is where the console keeps what it shows: a link to it shows the same to somebody else. */
const listeners = new Set<() => void>();

function tell(): void {
  for (const listener of listeners) listener();
}

window.addEventListener("popstate", tell);

export function navigate(to: string, how: "push" | "replace" = "push"): void {
  if (how === "push") {
    history.pushState(undefined, "", to);
    window.scrollTo(0, 0);
  } else {
    history.replaceState(undefined, "", to);
  }
  tell();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function usePath(): string {
  return useSyncExternalStore(subscribe, () => location.pathname);
}

/** A value of the address's query, and how to change it without a new step in the history. */
export function useParam(name: string, fallback: string = ""): readonly [string, (value: string) => void] {
  const value =
    useSyncExternalStore(subscribe, () => new URLSearchParams(location.search).get(name)) ?? fallback;
  const set = useCallback(
    (next: string) => {
      const params = new URLSearchParams(location.search);
      if (next === fallback) params.delete(name);
      else params.set(name, next);
      const query = params.toString();
      navigate(`${location.pathname}${query === "" ? "" : `?${query}`}`, "replace");
    },
    [name, fallback],
  );
  return [value, set];
}

interface LinkProps extends AnchorHTMLAttributes<HTMLAnchorElement> {
  readonly to: string;
  readonly children: ReactNode;
}

/** A real link, so that it can be opened beside, copied and read out. */
export function Link({ to, children, onClick, ...rest }: LinkProps) {
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    const isPlain =
      event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (event.defaultPrevented || !isPlain) return;
    event.preventDefault();
    navigate(to);
  };
  return (
    <a href={to} onClick={follow} {...rest}>
      {children}
    </a>
  );
}
