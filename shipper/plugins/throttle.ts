import type { ThrottleConfig } from "../filter-config.ts";
import { placeOf } from "../problem.ts";
import { matchOptions, readMatch } from "./common.ts";
import type { Plugin } from "./common.ts";

/** `throttle`: drops what comes faster than allowed. It is the one filter whose business is to lose records. */
export const throttle: Plugin<ThrottleConfig> = {
  name: "throttle",
  options: {
    ...matchOptions,
    rate: "used",
    window: "used",
    interval: "used",
    time_key: "used",
    print_status: { ignored: "counters of filters say how much was dropped" },
  },
  read(options, alias) {
    const timeKey = options.text("time_key");
    if (timeKey === undefined) {
      const why = "after a pause, what waited in the log comes faster than it was written and is dropped";
      options.warn(
        options.section,
        `Filter "throttle" counts by the clock, so ${why}: with "time_key stageTimestamp" records count by their own time`,
      );
    }
    return {
      plugin: "throttle",
      at: placeOf(options.section),
      alias,
      match: readMatch(options),
      rate: options.integer("rate", 1, 1, 1_000_000_000),
      window: options.integer("window", 5, 1, 86_400),
      intervalMs: options.duration("interval", 1000, 1, 86_400_000),
      timeKey,
    };
  },
};
