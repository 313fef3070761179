/** Lines such as auditd writes them, for tests: a login shell, its children, and what they do. */

/** The bytes of a text in UTF-8 as hexadecimal digits. */
const hex = (text: string): string =>
  encodeURIComponent(text).replaceAll(/%([0-9A-F]{2})|([^%])/g, (_, byte: string | undefined, char = "") =>
    (byte ?? char.charCodeAt(0).toString(16).padStart(2, "0")).toUpperCase(),
  );

interface CallOptions {
  readonly serial: number;
  readonly syscall: number;
  readonly arch?: string;
  readonly exit?: number;
  readonly a?: readonly [string, string, string, string];
  readonly items?: number;
  readonly pid?: number;
  readonly ppid?: number;
  readonly auid?: number;
  readonly euid?: number;
  readonly tty?: string;
  readonly comm?: string;
  readonly exe?: string;
  readonly enriched?: string;
}

/** The head of a record. */
export const head = (type: string, serial: number): string =>
  `type=${type} msg=audit(1700000000.${String(serial % 1000).padStart(3, "0")}:${serial}): `;

/** A SYSCALL record. */
export function syscallLine(options: CallOptions): string {
  const { serial, syscall, arch = "c000003e", exit = 0, a = ["0", "0", "0", "0"], items = 0 } = options;
  const {
    pid = 4242,
    ppid = 4200,
    auid = 1000,
    euid = 0,
    tty = "pts0",
    comm = "bash",
    exe = "/usr/bin/bash",
  } = options;
  const success = exit < 0 ? "no" : "yes";
  const [a0, a1, a2, a3] = a;
  const ids = `auid=${auid} uid=${euid} gid=0 euid=${euid} suid=0 fsuid=0 egid=0 sgid=0 fsgid=0`;
  const line = `${head("SYSCALL", serial)}arch=${arch} syscall=${syscall} success=${success} exit=${exit} a0=${a0} a1=${a1} a2=${a2} a3=${a3} items=${items} ppid=${ppid} pid=${pid} ${ids} tty=${tty} ses=3 comm=${quoted(comm)} exe=${quoted(exe)} subj=unconfined key="watch"`;
  return options.enriched === undefined ? line : `${line}\u001d${options.enriched}`;
}

/** Text as the kernel writes what users can choose. */
export function quoted(text: string): string {
  return /["\s]|[^\x21-\x7e]/.test(text) ? hex(text) : `"${text}"`;
}

export function pathLine(serial: number, item: number, name: string, role: string, more = ""): string {
  const facts = more === "" ? "inode=393 dev=fe:01 mode=0100644 ouid=0 ogid=0 rdev=00:00" : more;
  return `${head("PATH", serial)}item=${item} name=${quoted(name)} ${facts} nametype=${role} cap_fp=0 cap_fi=0`;
}

export const cwdLine = (serial: number, cwd: string): string => `${head("CWD", serial)}cwd=${quoted(cwd)}`;

export const titleLine = (serial: number, words: readonly string[]): string =>
  `${head("PROCTITLE", serial)}proctitle=${words.length > 1 ? hex(words.join("\0")) : quoted(words[0] ?? "")}`;

export function execveLine(serial: number, words: readonly string[]): string {
  return `${head("EXECVE", serial)}argc=${words.length} ${words.map((word, i) => `a${i}=${quoted(word)}`).join(" ")}`;
}

export const endLine = (serial: number): string => head("EOE", serial);

/** A whole execve event. */
export function execve(
  options: Omit<CallOptions, "syscall"> & { readonly words: readonly string[]; readonly cwd?: string },
): string[] {
  const { serial, words, cwd = "/root", exe = `/usr/bin/${words[0] ?? ""}` } = options;
  const comm = options.comm ?? (words[0] ?? "").slice(0, 15);
  return [
    syscallLine({ ...options, syscall: 59, items: 2, comm, exe }),
    execveLine(serial, words),
    cwdLine(serial, cwd),
    pathLine(serial, 0, exe, "NORMAL"),
    pathLine(serial, 1, "/lib64/ld-linux-x86-64.so.2", "NORMAL"),
    titleLine(serial, words),
  ];
}

/** `struct sockaddr_in` as the kernel dumps it. */
export function inetAddress(ip: string, port: number): string {
  const bytes = [2, 0, port >> 8, port & 255, ...ip.split(".").map(Number), 0, 0, 0, 0, 0, 0, 0, 0];
  return bytes.map((byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join("");
}
