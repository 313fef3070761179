import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { styleText } from "node:util";
import { exitCodes } from "./failure.ts";
import { renderFrame } from "./output/frame.ts";
import { plain, type Paint, type Tone } from "./output/text.ts";

/** Everything a command may do to the person before it. Tests bring their own; nothing else writes to the process. */
export interface Screen {
  /** The answer: standard output. */
  out(text: string): void;
  /** The talk: standard error. */
  talk(text: string): void;
  /** Standard input, whole, at most `bytesMax` bytes; undefined when it is longer. */
  readInput(bytesMax: number): Promise<Buffer | undefined>;
  /** Standard input as it comes, for commands that need not hold all of it. */
  input(): AsyncIterable<Uint8Array>;
  /** Waits until whoever reads the answer has taken most of it, so that a slow reader costs no memory. */
  drained(): Promise<void>;
  readonly inputIsTerminal: boolean;
  readonly outIsTerminal: boolean;
  readonly columns: number;
  readonly rows: number;
  readonly paint: Paint;
  /** Milliseconds since 1970. */
  now(): number;
  /** Asks without echo, on the terminal. */
  askSecret(question: string): Promise<string>;
  /** Hears every key that is pressed on the terminal, until the answer is called; nothing where there is none. */
  keys(pressed: (key: string) => void): () => void;
  /** Asks the person's browser to show a page. Nothing is known of whether it does. */
  openBrowser(url: string): void;
  /** Runs work that ends in good order when the person interrupts it; elsewhere an interrupt just ends the process. */
  interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

const current = new AsyncLocalStorage<Screen>();

/** Runs a command before the given screen. */
export function onScreen<T>(screen: Screen, run: () => Promise<T>): Promise<T> {
  return current.run(screen, run);
}

/** The screen of the command that runs. */
export function screen(): Screen {
  const found = current.getStore();
  if (found === undefined) throw new Error("A command ran without a screen: start it through runFleetctl().");
  return found;
}

/** Replaces a picture in place on a terminal. */
export function liveFrame(to: Screen): (lines: readonly string[]) => void {
  let before = 0;
  return (lines) => {
    const frame = renderFrame(before, lines, to.rows);
    before = frame.lines;
    to.out(frame.bytes);
  };
}

const styles = { good: "green", bad: "red", busy: "yellow", faint: "dim" } as const satisfies Record<
  Tone,
  string
>;

/** The process's own terminal or pipes. Colour only on a terminal and only without `NO_COLOR`. */
export function processScreen(): Screen {
  const { stdout, stderr } = process;
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    // Whoever read us has enough, as in `fleetctl alerts tail | head`: end as other tools do then.
    if (error.code === "EPIPE") process.exit(exitCodes.pipeClosed);
    throw error;
  });
  stderr.on("error", (error: NodeJS.ErrnoException) => {
    // Whoever listened to the talk went away, as in `2>&1 | head`. The answer may still be read.
    if (error.code !== "EPIPE") throw error;
  });
  const coloured = stdout.isTTY && (process.env["NO_COLOR"] ?? "") === "" && process.env["TERM"] !== "dumb";
  return {
    out: (text) => void stdout.write(text),
    talk: (text) => void stderr.write(text),
    readInput: async (bytesMax) => {
      const { buffer } = await import("node:stream/consumers");
      const all = await buffer(process.stdin.iterator({ destroyOnReturn: true }));
      return all.length > bytesMax ? undefined : all;
    },
    input: () => process.stdin,
    drained: async () => {
      if (stdout.writableNeedDrain) await once(stdout, "drain");
    },
    // Asked when wanted: Node opens standard input then, with all that reads files.
    get inputIsTerminal() {
      return process.stdin.isTTY;
    },
    outIsTerminal: stdout.isTTY,
    get columns() {
      return stdout.columns ?? 120;
    },
    get rows() {
      return stdout.rows ?? 40;
    },
    paint: coloured ? (tone, text) => styleText(styles[tone], text, { validateStream: false }) : plain,
    now: () => Date.now(),
    askSecret,
    keys,
    openBrowser: (url) => void openBrowser(url),
    interruptible,
  };
}

async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = () => controller.abort();
  // Once: a second interrupt finds no listener and ends the process at once.
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    return await work(controller.signal);
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

/** Keys one by one, without echo. Ctrl-C, which the terminal no longer turns into an interrupt, is one of them. */
function keys(pressed: (key: string) => void): () => void {
  const { stdin } = process;
  if (!stdin.isTTY) return () => {};
  const read = (chunk: Buffer) => {
    // An escape sequence comes as a whole; anything else is what was typed.
    const text = chunk.toString();
    for (const key of text.startsWith("\u001b") ? [text] : text) pressed(key);
  };
  stdin.setRawMode(true);
  stdin.on("data", read);
  stdin.resume();
  return () => {
    stdin.off("data", read);
    stdin.setRawMode(false);
    stdin.pause();
  };
}

/** Detached and unheard: the address is told as well, for where there is no browser. */
async function openBrowser(url: string): Promise<void> {
  // What starts programs takes a tenth of a start to load, and few commands want a browser.
  const { spawn } = await import("node:child_process");
  const [command, ...args] = { darwin: ["open"], win32: ["explorer"] }[process.platform as string] ?? [
    "xdg-open",
  ];
  const child = spawn(command ?? "xdg-open", [...args, url], { stdio: "ignore", detached: true });
  child.on("error", () => {});
  child.unref();
}

/** Reads a line from the terminal with the echo off. Interrupting ends the process as anywhere else. */
function askSecret(question: string): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(question);
  stdin.setRawMode(true);
  stdin.setEncoding("utf8");
  stdin.resume();
  return new Promise((resolve) => {
    let typed = "";
    const end = () => {
      stdin.off("data", read);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write("\n");
    };
    const read = (text: string) => {
      for (const key of text) {
        if (key === "\u0003") {
          end();
          process.exit(exitCodes.interrupted);
        }
        if (key === "\r" || key === "\n" || key === "\u0004") {
          end();
          resolve(typed);
          return;
        }
        if (key === "\u007f" || key === "\b") typed = Array.from(typed).slice(0, -1).join("");
        else typed += key;
      }
    };
    stdin.on("data", read);
  });
}
