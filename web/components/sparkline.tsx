/** A line so small that only its shape is read; the number stands beside it. Gaps stay gaps. */
export function Sparkline({ values }: { readonly values: readonly (number | undefined)[] }) {
  const known = values.filter((value) => value !== undefined);
  const max = Math.max(1, ...known);
  const at = (i: number, value: number) =>
    `${((i / Math.max(1, values.length - 1)) * 96 + 2).toFixed(1)} ${(22 - (value / max) * 20).toFixed(1)}`;
  let isDown = false;
  const path = values
    .map((value, i) => {
      const step = value === undefined ? "" : `${isDown ? "L" : "M"}${at(i, value)}`;
      isDown = value !== undefined;
      return step;
    })
    .join("");
  return (
    <svg
      className="sparkline"
      viewBox="0 0 100 24"
      width="100"
      height="24"
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <path d={path} fill="none" stroke="currentColor" strokeWidth="1.5" vectorEffect="non-scaling-stroke" />
    </svg>
  );
}
