/** One of a few words. */
export function Select({
  label,
  value,
  options,
  none,
  onChange,
}: {
  readonly label: string;
  readonly value: string;
  readonly options: readonly string[];
  /** What the empty option says. */
  readonly none: string;
  readonly onChange: (value: string) => void;
}) {
  return (
    <select
      className="input select"
      aria-label={label}
      value={value}
      onChange={(event) => onChange(event.target.value)}
    >
      {options.map((option) => (
        <option key={option} value={option}>
          {option === "" ? none : option}
        </option>
      ))}
    </select>
  );
}
