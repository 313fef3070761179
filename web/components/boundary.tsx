import { Component, type ReactNode } from "react";
import { UnreadPart } from "./later.tsx";

interface BoundaryProps {
  readonly children: ReactNode;
}

/** A page that cannot be shown says so, and the way to the others stays open. */
export class Boundary extends Component<BoundaryProps, { readonly error: unknown }> {
  override state: { readonly error: unknown } = { error: undefined };

  static getDerivedStateFromError(error: unknown): { readonly error: unknown } {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    return (
      <div className="refused tone-bad" role="alert">
        <span className="refused-words">{wordsOf(error)}</span>
        {error instanceof UnreadPart ? (
          // Browsers remember of a module that it could not be read, as React does: only another load of the page asks for it again.
          <button type="button" className="button small" onClick={() => window.location.reload()}>
            Reload
          </button>
        ) : (
          <button type="button" className="button small" onClick={() => this.setState({ error: undefined })}>
            Try again
          </button>
        )}
      </div>
    );
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof UnreadPart) return `${error.message}: reload`;
  const what = error instanceof Error ? error.message : "something was thrown that is no error";
  return `This page cannot be shown, which is a bug of the console: ${what}`;
}
