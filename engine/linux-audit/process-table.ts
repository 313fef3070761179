import type { Descriptor, ProcessInfo } from "./syscall-event.ts";

const processesMax = 8192;
const descriptorsMax = 16_384;
const ancestorsMax = 20;

/** A map that forgets what was not written for longest. */
class Recent<V> {
  private readonly entries: Map<string, V>;
  private readonly max: number;

  constructor(max: number) {
    this.entries = new Map();
    this.max = max;
  }

  get(key: string): V | undefined {
    return this.entries.get(key);
  }

  set(key: string, value: V): void {
    this.entries.delete(key);
    this.entries.set(key, value);
    if (this.entries.size <= this.max) return;
    for (const oldest of this.entries.keys()) {
      this.entries.delete(oldest);
      return;
    }
  }

  delete(key: string): void {
    this.entries.delete(key);
  }
}

/** What earlier events told about processes and their descriptors, bounded. Nodes are kept apart. */
export class ProcessTable {
  private readonly processes: Recent<ProcessInfo>;
  private readonly descriptors: Recent<Descriptor>;

  constructor() {
    this.processes = new Recent(processesMax);
    this.descriptors = new Recent(descriptorsMax);
  }

  process(node: string, pid: bigint): ProcessInfo | undefined {
    return this.processes.get(`${node} ${pid}`);
  }

  remember(node: string, process: ProcessInfo): void {
    this.processes.set(`${node} ${process.pid}`, process);
  }

  /** Known ancestors, the parent first; ends at the first that was never seen. */
  ancestors(node: string, process: ProcessInfo): readonly ProcessInfo[] {
    const found: ProcessInfo[] = [];
    let { ppid } = process;
    while (ppid !== undefined && ppid > 0n && found.length < ancestorsMax) {
      const parent = this.process(node, ppid);
      if (parent === undefined || parent.pid === process.pid || found.includes(parent)) break;
      found.push(parent);
      ppid = parent.ppid;
    }
    return found;
  }

  descriptor(node: string, pid: bigint, fd: bigint): Descriptor | undefined {
    return this.descriptors.get(`${node} ${pid} ${fd}`);
  }

  rememberDescriptor(node: string, pid: bigint, fd: bigint, descriptor: Descriptor): void {
    this.descriptors.set(`${node} ${pid} ${fd}`, descriptor);
  }

  forgetDescriptor(node: string, pid: bigint, fd: bigint): void {
    this.descriptors.delete(`${node} ${pid} ${fd}`);
  }
}
