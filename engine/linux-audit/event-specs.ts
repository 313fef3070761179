/** How one argument of an event is read from its records. */
export interface ArgumentSpec {
  readonly name: string;
  readonly kind: string;
  /** Which of the system call's own arguments it is, where it is one. */
  readonly index: number;
}

/**
 * Which descriptor the `fd.*` fields are about: one the call opened for a path, the one whose number is the first
 * argument, a socket with the address of the records, or none.
 */
export type DescriptorUse = "opened" | "first" | "remote" | "local" | "accepted" | "created" | "none";

export interface EventSpec {
  readonly args: readonly ArgumentSpec[];
  readonly fd: DescriptorUse;
}

function spec(text: string, fd: DescriptorUse = "none"): EventSpec {
  const args = text.split(" ").map((part): ArgumentSpec => {
    const [name = "", how = name] = part.split("=");
    const [kind = "", index = "0"] = how.split(":");
    return { name, kind, index: Number(index) };
  });
  return { args, fd };
}

const exec = spec("res exe args tid=pid pid ptid=ppid cwd comm tty loginuid uid filename=path");

/** What is known of each system call, with Falco's names for arguments. Others have `res` alone. */
export const eventSpecs: ReadonlyMap<string, EventSpec> = new Map([
  ["execve", exec],
  ["execveat", { ...exec, args: [...exec.args, ...spec("dirfd=dirfd:0 pathname=path flags=at:4").args] }],
  ["open", spec("fd=newfd name=path flags=open:1 mode=mode:2 dev ino", "opened")],
  ["openat", spec("fd=newfd dirfd=dirfd:0 name=path flags=open:2 mode=mode:3 dev ino", "opened")],
  ["openat2", spec("fd=newfd dirfd=dirfd:0 name=path flags=open2 mode=mode2 resolve dev ino", "opened")],
  ["creat", spec("fd=newfd name=path mode=mode:1 dev ino", "opened")],
  ["open_by_handle_at", spec("fd=newfd mountfd=fd:0 flags=open:2 path dev ino", "opened")],
  ["memfd_create", spec("fd=newfd flags=memfd:1")],
  ["connect", spec("res tuple fd=fd:0 addr", "remote")],
  ["sendto", spec("res fd=fd:0 size=num:2 tuple", "remote")],
  ["sendmsg", spec("res fd=fd:0 tuple", "remote")],
  ["bind", spec("res addr fd=fd:0", "local")],
  ["accept", spec("fd=newfd tuple", "accepted")],
  ["accept4", spec("fd=newfd tuple flags=hex:3", "accepted")],
  ["listen", spec("res fd=fd:0 backlog=num:1", "first")],
  ["socket", spec("fd=newfd domain=family:0 type=num:1 proto=num:2", "created")],
  ["unlink", spec("res path")],
  ["unlinkat", spec("res dirfd=dirfd:0 name=path flags=unlink:2")],
  ["rmdir", spec("res path")],
  ["mkdir", spec("res path mode=mode:1")],
  ["mkdirat", spec("res dirfd=dirfd:0 path mode=mode:2")],
  ["mknod", spec("res path mode=mode:1 dev=num:2")],
  ["mknodat", spec("res dirfd=dirfd:0 path mode=mode:2 dev=num:3")],
  ["rename", spec("res oldpath=old newpath=new")],
  ["renameat", spec("res olddirfd=dirfd:0 oldpath=old newdirfd=dirfd:2 newpath=new")],
  ["renameat2", spec("res olddirfd=dirfd:0 oldpath=old newdirfd=dirfd:2 newpath=new flags=rename:4")],
  ["link", spec("res oldpath=old newpath=new")],
  ["linkat", spec("res olddir=dirfd:0 oldpath=old newdir=dirfd:2 newpath=new flags=at:4")],
  ["symlink", spec("res target=old linkpath=new")],
  ["symlinkat", spec("res target=old linkdirfd=dirfd:1 linkpath=new")],
  ["chmod", spec("res filename=path mode=chmod:1")],
  ["fchmod", spec("res fd=fd:0 mode=chmod:1", "first")],
  ["fchmodat", spec("res dirfd=dirfd:0 filename=path mode=chmod:2")],
  ["fchmodat2", spec("res dirfd=dirfd:0 filename=path mode=chmod:2 flags=at:3")],
  ["chown", spec("res path uid=id:1 gid=id:2")],
  ["lchown", spec("res path uid=id:1 gid=id:2")],
  ["fchown", spec("res fd=fd:0 uid=id:1 gid=id:2", "first")],
  ["fchownat", spec("res dirfd=dirfd:0 pathname=path uid=id:2 gid=id:3 flags=at:4")],
  ["truncate", spec("res path length=num:1")],
  ["ftruncate", spec("res fd=fd:0 length=num:1", "first")],
  ["chdir", spec("res path")],
  ["fchdir", spec("res fd=fd:0", "first")],
  ["chroot", spec("res path")],
  ["setxattr", spec("res path")],
  ["mount", spec("res dev=second dir=path flags=mount:3")],
  ["umount2", spec("res name=path flags=umount:1")],
  ["pivot_root", spec("res")],
  ["ptrace", spec("res request=ptrace:0 pid=num:1")],
  ["kill", spec("res pid=num:0 sig=signal:1")],
  ["tkill", spec("res tid=num:0 sig=signal:1")],
  ["tgkill", spec("res pid=num:0 tid=num:1 sig=signal:2")],
  ["setuid", spec("res uid=id:0")],
  ["setgid", spec("res gid=id:0")],
  ["setreuid", spec("res ruid=id:0 euid=id:1")],
  ["setregid", spec("res rgid=id:0 egid=id:1")],
  ["setresuid", spec("res ruid=id:0 euid=id:1 suid=id:2")],
  ["setresgid", spec("res rgid=id:0 egid=id:1 sgid=id:2")],
  ["setpgid", spec("res pid=num:0 pgid=num:1")],
  ["setns", spec("res fd=fd:0 nstype=clone:1", "first")],
  ["unshare", spec("res flags=clone:0")],
  ["clone", spec("res flags=clone:0")],
  ["init_module", spec("res length=num:1")],
  ["finit_module", spec("res fd=fd:0 flags=hex:2", "first")],
  ["delete_module", spec("res flags=hex:1")],
  ["bpf", spec("res cmd=num:0")],
  ["prctl", spec("res option=num:0 arg2_int=num:1")],
  ["dup", spec("res oldfd=fd:0", "first")],
  ["dup2", spec("res oldfd=fd:0 newfd=fd:1", "first")],
  ["dup3", spec("res oldfd=fd:0 newfd=fd:1 flags=open:2", "first")],
  ["close", spec("res fd=fd:0", "first")],
]);

/** What an event without an entry above has. */
export const plainSpec: EventSpec = spec("res");

/** The specification of an event by its name. */
export function eventSpec(type: string): EventSpec {
  return eventSpecs.get(type) ?? plainSpec;
}
