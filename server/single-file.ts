/** The server as one file, with the threads that load bundles: the first argument names them. */
if (process.argv[2] === "@worker") {
  void import("./loading/worker.ts");
} else {
  void import("./main.ts");
}
