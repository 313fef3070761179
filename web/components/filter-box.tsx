import { useId } from "react";
import { Icon, paths } from "./icons.tsx";

/** The one filter of a page, which "/" leads to. */
export function FilterBox({
  label,
  hint,
  value,
  onChange,
  problem,
}: {
  readonly label: string;
  readonly hint: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly problem?: string;
}) {
  const id = useId();
  const isWrong = problem !== undefined && problem !== "";
  return (
    <div className="filter">
      <Icon path={paths.search} className="icon filter-icon" />
      <input
        type="search"
        className="input"
        data-filter=""
        aria-label={label}
        aria-invalid={isWrong}
        aria-describedby={isWrong ? id : undefined}
        placeholder={hint}
        spellCheck={false}
        autoComplete="off"
        maxLength={500}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
      <kbd className="filter-key" aria-hidden="true">
        /
      </kbd>
      {isWrong ? (
        <p id={id} className="filter-problem tone-bad toned">
          {problem}
        </p>
      ) : undefined}
    </div>
  );
}
