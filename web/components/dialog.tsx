import { useEffect, useId, useRef, useState, type ReactNode } from "react";
import { Icon, paths } from "./icons.tsx";
import { Refused } from "./states.tsx";

/** The browser's own dialog: it keeps the focus inside and closes on Escape. Whichever way it goes, the focus goes back. */
export function Dialog({
  title,
  onClose,
  children,
}: {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
}) {
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  const opener = useRef<Element>(null);
  useEffect(() => {
    if (dialog.current?.open === false) {
      opener.current = document.activeElement;
      dialog.current.showModal();
    }
    return () => giveFocusBack(opener.current);
  }, []);
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby={id} onClose={onClose}>
      <header className="dialog-head">
        <h2 id={id}>{title}</h2>
        <button
          type="button"
          className="icon-button"
          aria-label="Close"
          onClick={() => dialog.current?.close()}
        >
          <Icon path={paths.close} />
        </button>
      </header>
      {children}
    </dialog>
  );
}

/**
 * A dialog that is taken off the page while it is open, as by Cancel or when all is done, gives nothing back by itself. Where
 * the button that opened it is gone, too, the page's content is where keys go on.
 */
function giveFocusBack(opener: Element | null): void {
  if (opener instanceof HTMLElement && opener.isConnected) opener.focus({ preventScroll: true });
  const isLost = document.activeElement === null || document.activeElement === document.body;
  if (isLost) document.querySelector<HTMLElement>("#main")?.focus({ preventScroll: true });
}

export interface Action {
  readonly title: string;
  /** What will happen, in words. */
  readonly consequence: ReactNode;
  /** The word on the button, which is not "OK". */
  readonly verb: string;
  readonly isDangerous: boolean;
  /** Asked for when the call takes a reason. */
  readonly reasonLabel?: string;
  readonly run: (reason: string) => Promise<unknown>;
}

/** Asks before something is done, and shows the server's refusal if it is not. */
export function Confirm({ action, onClose }: { readonly action: Action; readonly onClose: () => void }) {
  const [reason, setReason] = useState("");
  const [isRunning, setIsRunning] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const reasonId = useId();
  const run = async () => {
    setIsRunning(true);
    setError(undefined);
    try {
      await action.run(reason.trim());
      onClose();
    } catch (refusal) {
      setError(refusal);
      setIsRunning(false);
    }
  };
  return (
    <Dialog title={action.title} onClose={onClose}>
      <form
        className="dialog-body"
        onSubmit={(event) => {
          event.preventDefault();
          void run();
        }}
      >
        <div className="consequence">{action.consequence}</div>
        {action.reasonLabel === undefined ? undefined : (
          <label className="field" htmlFor={reasonId}>
            {action.reasonLabel}
            <input
              id={reasonId}
              className="input"
              maxLength={500}
              value={reason}
              onChange={(event) => setReason(event.target.value)}
            />
          </label>
        )}
        {error === undefined ? undefined : <Refused error={error} />}
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button
            type="submit"
            className={action.isDangerous ? "button danger" : "button primary"}
            disabled={isRunning}
          >
            {action.verb}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
