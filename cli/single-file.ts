import { keepCompiled } from "./compile-cache.ts";

keepCompiled(process.env);

/** fleetctl as one file. The first argument names another program in it; no command begins with "@". */
if (process.argv[2] === "@generator") {
  process.argv.splice(2, 1);
  void import("./generator/main.ts");
} else {
  void import("./main.ts");
}
