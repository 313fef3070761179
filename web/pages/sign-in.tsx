import { useQuery } from "@connectrpc/connect-query";
import { useId, useState } from "react";
import { AuthService } from "#proto/fleet/v1/auth";
import { signIn } from "../api/session.ts";
import { Refused } from "../components/states.tsx";
import { ThemeButton } from "../components/theme.tsx";

/** A token that was pasted, or the identity provider where there is one. */
export function SignInPage() {
  const { data: provider } = useQuery(
    AuthService.method.getLoginOptions,
    {},
    { retry: false, staleTime: Infinity },
  );
  return (
    <div className="alone">
      <main className="sign-in">
        <header className="sign-in-head">
          <img src="/icon.svg" alt="" width="28" height="28" />
          <h1>Falconry</h1>
          <ThemeButton />
        </header>
        {provider === undefined ? undefined : (
          <>
            <a
              className="button primary wide"
              href={`/console/login?to=${encodeURIComponent(location.pathname)}`}
            >
              Sign in with {hostOf(provider.issuer)}
            </a>
            <p className="or">or</p>
          </>
        )}
        <TokenForm isFirst={provider === undefined} />
      </main>
    </div>
  );
}

function TokenForm({ isFirst }: { readonly isFirst: boolean }) {
  const [token, setToken] = useState("");
  const [isRunning, setIsRunning] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const [id, hintId] = [useId(), useId()];
  const run = async () => {
    setIsRunning(true);
    setError(undefined);
    try {
      await signIn(token.trim());
    } catch (refusal) {
      setError(refusal);
      setIsRunning(false);
    }
  };
  return (
    <form
      className="sign-in-form"
      onSubmit={(event) => {
        event.preventDefault();
        void run();
      }}
    >
      <label className="field" htmlFor={id}>
        API token
        <input
          id={id}
          className="input mono"
          type="password"
          autoComplete="off"
          spellCheck={false}
          required
          maxLength={256}
          value={token}
          aria-describedby={hintId}
          onChange={(event) => setToken(event.target.value)}
        />
      </label>
      <p id={hintId} className="hint">
        Made by <code>fleetctl token api create NAME --role viewer</code>. This browser keeps it for 12 hours
        at most, where no script can read it.
      </p>
      {error === undefined ? undefined : <Refused error={error} />}
      <button type="submit" className={isFirst ? "button primary wide" : "button wide"} disabled={isRunning}>
        Sign in
      </button>
    </form>
  );
}

function hostOf(issuer: string): string {
  return URL.canParse(issuer) ? new URL(issuer).host : "your identity provider";
}
