/** Names of flags in the order in which they are printed. */
type Flags = readonly (readonly [string, number])[];

function flags(text: string): Flags {
  return text
    .trim()
    .split(/\s+/)
    .map((pair) => {
      const [name = "", value = "0"] = pair.split("=");
      return [name, Number(value)] as const;
    });
}

const tables: Readonly<Record<string, Flags>> = {
  at: flags("AT_SYMLINK_NOFOLLOW=0x100 AT_SYMLINK_FOLLOW=0x400 AT_EMPTY_PATH=0x1000"),
  chmod: flags(
    `S_IXOTH=1 S_IWOTH=2 S_IROTH=4 S_IXGRP=8 S_IWGRP=16 S_IRGRP=32 S_IXUSR=64 S_IWUSR=128 S_IRUSR=256 S_ISVTX=512
     S_ISGID=1024 S_ISUID=2048`,
  ),
  unlink: flags("AT_REMOVEDIR=0x200"),
  rename: flags("RENAME_NOREPLACE=1 RENAME_EXCHANGE=2 RENAME_WHITEOUT=4"),
  memfd: flags("MFD_CLOEXEC=1 MFD_ALLOW_SEALING=2 MFD_HUGETLB=4"),
  umount: flags("FORCE=1 DETACH=2 EXPIRE=4 NOFOLLOW=8"),
  mount: flags(
    `RDONLY=1 NOSUID=2 NODEV=4 NOEXEC=8 SYNCHRONOUS=16 REMOUNT=32 MANDLOCK=64 DIRSYNC=128 NOATIME=1024
     NODIRATIME=2048 BIND=4096 MOVE=8192 REC=16384 SILENT=32768 POSIXACL=0x10000 UNBINDABLE=0x20000
     PRIVATE=0x40000 SLAVE=0x80000 SHARED=0x100000 RELATIME=0x200000 STRICTATIME=0x1000000 LAZYTIME=0x2000000`,
  ),
  clone: flags(
    `CLONE_FILES=0x400 CLONE_FS=0x200 CLONE_IO=0x80000000 CLONE_NEWIPC=0x8000000 CLONE_NEWNET=0x40000000
     CLONE_NEWNS=0x20000 CLONE_NEWPID=0x20000000 CLONE_NEWUTS=0x4000000 CLONE_PARENT=0x8000
     CLONE_PARENT_SETTID=0x100000 CLONE_PTRACE=0x2000 CLONE_SIGHAND=0x800 CLONE_SYSVSEM=0x40000
     CLONE_THREAD=0x10000 CLONE_UNTRACED=0x800000 CLONE_VM=0x100 CLONE_NEWUSER=0x10000000
     CLONE_CHILD_CLEARTID=0x200000 CLONE_CHILD_SETTID=0x1000000 CLONE_SETTLS=0x80000 CLONE_VFORK=0x4000
     CLONE_NEWCGROUP=0x2000000`,
  ),
};

const values: Readonly<Record<string, Flags>> = {
  ptrace: flags(
    `PTRACE_TRACEME=0 PTRACE_PEEKTEXT=1 PTRACE_PEEKDATA=2 PTRACE_PEEKUSR=3 PTRACE_POKETEXT=4 PTRACE_POKEDATA=5
     PTRACE_POKEUSR=6 PTRACE_CONT=7 PTRACE_KILL=8 PTRACE_SINGLESTEP=9 PTRACE_GETREGS=12 PTRACE_SETREGS=13
     PTRACE_GETFPREGS=14 PTRACE_SETFPREGS=15 PTRACE_ATTACH=16 PTRACE_DETACH=17 PTRACE_SYSCALL=24
     PTRACE_SETOPTIONS=0x4200 PTRACE_GETEVENTMSG=0x4201 PTRACE_GETSIGINFO=0x4202 PTRACE_SETSIGINFO=0x4203
     PTRACE_GETREGSET=0x4204 PTRACE_SETREGSET=0x4205 PTRACE_SEIZE=0x4206 PTRACE_INTERRUPT=0x4207
     PTRACE_LISTEN=0x4208`,
  ),
  family: flags(
    "AF_UNSPEC=0 AF_UNIX=1 AF_INET=2 AF_INET6=10 AF_NETLINK=16 AF_PACKET=17 AF_ALG=38 AF_VSOCK=40",
  ),
  signal: flags(
    `SIGHUP=1 SIGINT=2 SIGQUIT=3 SIGILL=4 SIGTRAP=5 SIGABRT=6 SIGBUS=7 SIGFPE=8 SIGKILL=9 SIGUSR1=10 SIGSEGV=11
     SIGUSR2=12 SIGPIPE=13 SIGALRM=14 SIGTERM=15 SIGSTKFLT=16 SIGCHLD=17 SIGCONT=18 SIGSTOP=19 SIGTSTP=20
     SIGTTIN=21 SIGTTOU=22 SIGURG=23 SIGXCPU=24 SIGXFSZ=25 SIGVTALRM=26 SIGPROF=27 SIGWINCH=28 SIGIO=29
     SIGPWR=30 SIGSYS=31`,
  ),
};

/** Names of a set of flags or of a single value; undefined when the kind has no names. */
export function namesOf(kind: string, value: bigint): string | undefined {
  const one = values[kind];
  if (one !== undefined) return one.find(([, number]) => BigInt(number) === value)?.[0];
  const many = tables[kind];
  return many
    ?.filter(([, bit]) => (value & BigInt(bit)) !== 0n)
    .map(([name]) => name)
    .join("|");
}

/** Bits of open(2); those that differ between machines are looked up by name. */
interface OpenBits {
  readonly directory: bigint;
  readonly direct: bigint;
  readonly largeFile: bigint;
}

const x86: OpenBits = { directory: 0o200000n, direct: 0o40000n, largeFile: 0o100000n };
const arm: OpenBits = { directory: 0o40000n, direct: 0o200000n, largeFile: 0o400000n };

/** What the flags of open(2) ask for. */
export interface OpenFlags {
  /** Falco's names joined by `|`. */
  readonly names: string;
  readonly isRead: boolean;
  readonly isWrite: boolean;
  readonly isCreate: boolean;
  readonly isDirectory: boolean;
}

/** Reads flags of open(2) as the kernel takes them. */
export function openFlags(value: bigint, machine: string): OpenFlags {
  const bits = machine === "aarch64" ? arm : x86;
  const mode = value & 3n;
  const has = (bit: bigint): boolean => (value & bit) === bit;
  const isSync = has(0o4010000n);
  const names: readonly (readonly [string, boolean])[] = [
    ["O_LARGEFILE", has(bits.largeFile)],
    ["O_DIRECTORY", has(bits.directory)],
    ["O_DIRECT", has(bits.direct)],
    ["O_TRUNC", has(0o1000n)],
    ["O_SYNC", isSync],
    ["O_NONBLOCK", has(0o4000n)],
    ["O_EXCL", has(0o200n)],
    ["O_DSYNC", has(0o10000n) && !isSync],
    ["O_APPEND", has(0o2000n)],
    ["O_CREAT", has(0o100n)],
    ["O_RDWR", mode === 2n],
    ["O_WRONLY", mode === 1n],
    ["O_RDONLY", mode === 0n],
    ["O_CLOEXEC", has(0o2000000n)],
    ["O_TMPFILE", has(0o20000000n)],
  ];
  return {
    names: names
      .filter(([, isSet]) => isSet)
      .map(([name]) => name)
      .join("|"),
    isRead: mode === 0n || mode === 2n,
    isWrite: mode === 1n || mode === 2n,
    isCreate: has(0o100n) || has(0o20000000n),
    isDirectory: has(bits.directory),
  };
}
