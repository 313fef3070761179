/**
 * What rules took of a core, in microseconds since the beginning. An event is timed on the clock, which goes on while the
 * thread waits for a core, so a busy node would make every rule look dear; between two looks rules cannot have taken more
 * than the whole thread did.
 */
export interface DetectionTime {
  /** Takes in the time on the clock within rules since the beginning, in milliseconds. */
  read(clockMs: number): number;
}

/** `threadCpuUs` gives the CPU time of the calling thread in microseconds, from whenever it likes. */
export function createDetectionTime(threadCpuUs: () => number = ownCpuUs): DetectionTime {
  let total = 0;
  let last = { clockUs: 0, cpuUs: threadCpuUs() };
  return {
    read: (clockMs) => {
      const [clockUs, cpuUs] = [clockMs * 1000, threadCpuUs()];
      total += Math.max(0, Math.min(clockUs - last.clockUs, cpuUs - last.cpuUs));
      last = { clockUs, cpuUs };
      return Math.round(total);
    },
  };
}

function ownCpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}
