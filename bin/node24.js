// Plain JavaScript for any Node from 20 on: it is what runs before the Node that we ship.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** Older ones neither strip types nor run some of our packages. */
const majorMin = 24;

/** Whether this process already runs on a Node that can run our code. */
export function isNewEnough() {
  return Number(process.versions.node.split(".", 1)[0]) >= majorMin;
}

/** The Node that comes with the dependencies, or this one if it is new enough; undefined when there is none. */
export function findNode(root) {
  const shipped = join(root, "node_modules", ".bin", "node");
  if (existsSync(shipped)) return shipped;
  return isNewEnough() ? process.execPath : undefined;
}

/**
 * Runs Node as a child and ends this process the way the child ended. The child leads a session of its own, so that it
 * hears of a signal once, from us: of a Ctrl-C the terminal tells every process, and npm passes it on once more.
 */
export function becomeNode(node, args) {
  const child = spawn(node, args, { stdio: "inherit", detached: true });
  const stop = passSignals((signal) => child.kill(signal));
  child.once("error", (error) => {
    process.stderr.write(`${node} cannot be run: ${error.message}. Run \`npm ci\`, then try again\n`);
    process.exitCode = 4;
  });
  child.once("exit", (code, signal) => {
    stop();
    process.exitCode = code ?? codeOf(signal);
  });
}

/** Runs a program to its end. A signal goes to it and to all that it started, and ends this process with it. */
export function runToEnd(program, args, options) {
  const child = spawn(program, args, { ...options, detached: true });
  let told;
  const stop = passSignals((signal) => {
    if (signal !== "SIGWINCH") told ??= signal;
    // A negative number means the session that it leads. It may have ended in this moment.
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, signal);
  });
  return new Promise((resolve) => {
    child.once("error", (error) => {
      stop();
      resolve({ status: null, error });
    });
    child.once("exit", (status) => {
      stop();
      if (told !== undefined) process.exit(codeOf(told));
      resolve({ status });
    });
  });
}

/** Hears of signals, each once, until the answer is called. */
function passSignals(pass) {
  let lastSignal = "";
  let lastAt = 0;
  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGWINCH"];
  const hear = (signal) => {
    const isEcho = signal === lastSignal && performance.now() - lastAt < 500;
    lastSignal = signal;
    lastAt = performance.now();
    if (!isEcho || signal === "SIGWINCH") pass(signal);
  };
  for (const signal of signals) process.on(signal, hear);
  return () => {
    for (const signal of signals) process.off(signal, hear);
  };
}

/** As shells give it for a process that a signal ended. */
function codeOf(signal) {
  return 128 + (constants.signals[signal] ?? 0);
}
