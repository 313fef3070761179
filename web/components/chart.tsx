import { Suspense, type ComponentProps } from "react";
import { Boundary } from "./boundary.tsx";
import { later } from "./later.tsx";

/** Drawing comes when something is to be drawn: the first page has to be there before. */
const Plot = later(async () => (await import("./plot.tsx")).Plot);

/** A line over time, of a height that is kept from the beginning. Without it the page around it stays. */
export function Chart(props: ComponentProps<typeof Plot>) {
  return (
    <Boundary>
      <div className="chart">
        <Suspense>
          <Plot {...props} />
        </Suspense>
      </div>
    </Boundary>
  );
}
