import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { keyStep, lastOf, pointText, type Line } from "../view/series.ts";

interface PlotProps {
  readonly label: string;
  readonly line: Line;
  readonly format: (value: number) => string;
}

const height = 120;

/**
 * A line with a cursor, which a pointer moves and, where keys go there, the arrows. What it stands on is said above it; without
 * a cursor that is the newest minute.
 */
export function Plot({ label, line, format }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot>(undefined);
  const latest = useRef(line);
  latest.current = line;
  const [at, setAt] = useState<number>();
  useEffect(() => {
    const box = place.current;
    if (box === null) return undefined;
    const draw = () => {
      plot.current?.destroy();
      plot.current = new UPlot(optionsOf(box, format, setAt), dataOf(latest.current), box);
    };
    draw();
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: box.clientWidth, height }));
    observer.observe(box);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    window.addEventListener("theme", draw);
    return () => {
      observer.disconnect();
      scheme.removeEventListener("change", draw);
      window.removeEventListener("theme", draw);
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [format]);
  useEffect(() => plot.current?.setData(dataOf(line)), [line]);
  const last = lastOf(line);
  const shown = Math.min(at ?? last, last);
  const text = pointText(line, shown, format);
  const onKeyDown = (event: KeyboardEvent) => {
    const next = keyStep(event.key, shown, last);
    if (next === undefined || plot.current === undefined) return;
    event.preventDefault();
    moveTo(plot.current, next);
  };
  return (
    <div
      className="plot"
      role="slider"
      tabIndex={0}
      aria-label={label}
      aria-readonly="true"
      aria-valuemin={0}
      aria-valuemax={last}
      aria-valuenow={shown}
      aria-valuetext={text}
      onKeyDown={onKeyDown}
      onBlur={() => plot.current?.setCursor({ left: -10, top: -10 })}
    >
      <p className="plot-value number" aria-hidden="true">
        {text}
      </p>
      <div ref={place} />
    </div>
  );
}

function moveTo(plot: UPlot, index: number): void {
  const seconds = plot.data[0][index];
  if (seconds !== undefined) plot.setCursor({ left: plot.valToPos(seconds, "x"), top: 0 });
}

function dataOf({ minutesMs, values }: Line): UPlot.AlignedData {
  return [minutesMs.map((ms) => ms / 1000), values.map((value) => value ?? null)];
}

function optionsOf(
  box: HTMLElement,
  format: (value: number) => string,
  onCursor: (index: number | undefined) => void,
): UPlot.Options {
  const style = getComputedStyle(box);
  const [text, line, accent] = ["--faint", "--line", "--accent"].map((name) => colourOf(box, name));
  const axis: UPlot.Axis = {
    stroke: text ?? "",
    grid: { stroke: line ?? "", width: 1 },
    ticks: { show: false },
    font: `11px ${style.fontFamily}`,
  };
  return {
    width: box.clientWidth,
    height,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7, fill: accent ?? "" } },
    hooks: { setCursor: [({ cursor }) => onCursor(cursor.idx ?? undefined)] },
    padding: [8, 8, 0, 0],
    scales: { y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      {
        ...axis,
        size: 24,
        values: (_plot, seconds) => seconds.map((at) => new Date(at * 1000).toISOString().slice(11, 16)),
      },
      { ...axis, size: 54, values: (_plot, values) => values.map((value) => format(value)) },
    ],
    series: [{}, { stroke: accent ?? "", width: 1.5, points: { show: false }, spanGaps: false }],
  };
}

/** A colour of ours as a canvas takes it: what it comes to in the theme that is seen. */
function colourOf(box: HTMLElement, name: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  box.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
