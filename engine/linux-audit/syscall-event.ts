/** One argument of an event. */
export interface EventArgument {
  readonly name: string;
  /** As `evt.arg` gives it: names instead of numbers, paths in full where their base is known. */
  readonly text: string;
  /** As the call took it: `evt.args` shows both where they differ. */
  readonly raw: string;
}

/** What has been seen of a process. */
export interface ProcessInfo {
  readonly pid: bigint;
  readonly ppid: bigint | undefined;
  /** At most 15 characters, as the kernel keeps it. */
  readonly name: string | undefined;
  /** The first word of its command line. */
  readonly exe: string | undefined;
  readonly exePath: string | undefined;
  /** The words after the first; undefined when its command line was never seen. */
  readonly args: readonly string[] | undefined;
  /** When its program began, where that was seen. */
  readonly startNs: bigint | undefined;
}

/** The file or socket an event is about. */
export interface Descriptor {
  readonly number: bigint | undefined;
  readonly type: "file" | "directory" | "ipv4" | "ipv6" | "unix" | undefined;
  /** A full path, or the ends of a connection. */
  readonly name: string | undefined;
  readonly nameRaw: string | undefined;
  readonly clientIp: string | undefined;
  readonly clientPort: bigint | undefined;
  readonly serverIp: string | undefined;
  readonly serverPort: bigint | undefined;
  /** Whether this process is the serving end; undefined when neither is known. */
  readonly isServer: boolean | undefined;
  readonly l4proto: string | undefined;
  readonly inode: bigint | undefined;
  /** Major and minor number of the device the file is on. */
  readonly device: { readonly major: bigint; readonly minor: bigint } | undefined;
}

/** A path as the program wrote it and, where its base is known, in full. */
export interface EventPath {
  readonly raw: string;
  readonly full: string | undefined;
}

/** A user or group: undefined numbers are unset, names are known only where something told them. */
export interface Identity {
  readonly id: bigint | undefined;
  readonly name: string | undefined;
}

/** A system call put together from the records of the Linux audit system. */
export interface SyscallEvent {
  /** Node, time and serial number as in the records. */
  readonly id: string;
  readonly timeNs: bigint;
  /** Name of the system call. */
  readonly type: string;
  /** What the call returned; a negative error number when it failed. */
  readonly result: bigint | undefined;
  readonly isFailed: boolean;
  readonly args: readonly EventArgument[];
  readonly process: ProcessInfo;
  /** Ancestors that are known, the parent first. */
  readonly ancestors: readonly ProcessInfo[];
  readonly cwd: string | undefined;
  /** Device number of the terminal; 0 without one. */
  readonly tty: bigint | undefined;
  readonly fd: Descriptor | undefined;
  readonly path: EventPath | undefined;
  readonly source: EventPath | undefined;
  readonly target: EventPath | undefined;
  readonly user: Identity;
  readonly loginUser: Identity;
  readonly group: Identity;
  readonly open:
    | {
        readonly isRead: boolean;
        readonly isWrite: boolean;
        readonly isCreate: boolean;
        readonly isExec: boolean;
      }
    | undefined;
}
