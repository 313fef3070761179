import { useLayoutEffect, useRef, useState, type RefObject } from "react";
import { flushSync } from "react-dom";
import type { Sight } from "../view/places.ts";

/** What of a list is in the window, and whether that is about to change. */
export interface Seen extends Sight {
  readonly isMoving: boolean;
}

/** Milliseconds without scrolling until the list is at rest. */
const restMs = 150;

/** Follows the window over a list whose first row is at the top of `body`. */
export function useSight(body: RefObject<HTMLElement | null>, height: number): Seen {
  const [seen, setSeen] = useState<Seen>(() => ({ first: 0, fits: fitsOf(height), isMoving: false }));
  const latest = useRef(seen);
  useLayoutEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = (isMoving: boolean): boolean => {
      const top = body.current?.getBoundingClientRect().top ?? 0;
      const [first, fits] = [Math.max(0, Math.floor(-top / height)), fitsOf(height)];
      if (first === latest.current.first && fits === latest.current.fits) return false;
      latest.current = { first, fits, isMoving };
      return true;
    };
    const rest = () => {
      if (!latest.current.isMoving) return;
      latest.current = { ...latest.current, isMoving: false };
      setSeen(latest.current);
    };
    const onScroll = () => {
      clearTimeout(timer);
      timer = setTimeout(rest, restMs);
      // Drawn before this frame is: the window is there already, and would show nothing for a frame.
      if (look(true)) flushSync(() => setSeen(latest.current));
    };
    const onSize = () => {
      if (look(latest.current.isMoving)) setSeen(latest.current);
    };
    onSize();
    window.addEventListener("scroll", onScroll, { passive: true });
    window.addEventListener("resize", onSize);
    // What grows or shrinks above the list moves it, too.
    const observer = new ResizeObserver(onSize);
    observer.observe(document.body);
    return () => {
      clearTimeout(timer);
      observer.disconnect();
      window.removeEventListener("scroll", onScroll);
      window.removeEventListener("resize", onSize);
    };
  }, [body, height]);
  return seen;
}

function fitsOf(height: number): number {
  return Math.ceil(window.innerHeight / height) + 1;
}

/** Scrolls until a row is in the window, a row's height away from its edges, where the head of the list may be. */
export function showRow(body: HTMLElement | null, index: number, height: number): void {
  const top = (body?.getBoundingClientRect().top ?? 0) + index * height;
  const below = top + 2 * height - window.innerHeight;
  if (top < height) window.scrollBy(0, top - height);
  else if (below > 0) window.scrollBy(0, below);
}
