import type { ReactNode } from "react";
import { refusalOf } from "../api/transport.ts";
import { Sign } from "./icons.tsx";

/** What the server said in place of an answer, with its code. */
export function Refused({ error, retry }: { readonly error: unknown; readonly retry?: () => void }) {
  const { code, sentence } = refusalOf(error);
  return (
    <div className="refused tone-bad" role="alert">
      <Sign tone="bad" />
      <span className="refused-words">
        {sentence} <code className="code">{code}</code>
      </span>
      {retry === undefined ? undefined : (
        <button type="button" className="button small" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Empty({ children }: { readonly children: ReactNode }) {
  return <p className="empty">{children}</p>;
}

/** Keeps the place of what is on its way, so that nothing jumps when it comes. */
export function Waiting({
  lines = 6,
  label = "Loading",
}: {
  readonly lines?: number;
  readonly label?: string;
}) {
  return (
    <div className="waiting" role="status" aria-label={label}>
      {Array.from({ length: lines }, (_, i) => (
        <span key={i} className="waiting-line" />
      ))}
    </div>
  );
}

export interface Answer<T> {
  readonly data: T | undefined;
  readonly error: unknown;
  readonly refetch: () => unknown;
}

/** One of three: what came, that it is on its way, or why it does not come. What came once stays when a later look fails. */
export function Answered<T>({
  answer,
  lines,
  children,
}: {
  readonly answer: Answer<T>;
  readonly lines?: number;
  readonly children: (data: T) => ReactNode;
}) {
  const { data, error, refetch } = answer;
  const isRefused = error !== null && error !== undefined;
  if (data === undefined) {
    if (isRefused) return <Refused error={error} retry={() => void refetch()} />;
    return <Waiting {...(lines === undefined ? {} : { lines })} />;
  }
  return (
    <>
      {isRefused ? <Refused error={error} /> : undefined}
      {children(data)}
    </>
  );
}
