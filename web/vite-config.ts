import type { InlineConfig } from "vite";

/** Builds the console into files that the server hands out under a policy that allows nothing inline. */
export function consoleConfig(outDir: string): InlineConfig {
  return {
    root: import.meta.dirname,
    base: "/",
    // Only what is asked for by name: no file of a person's machine changes what is built.
    configFile: false,
    envDir: false,
    logLevel: "warn",
    build: {
      outDir,
      emptyOutDir: true,
      target: "es2022",
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
      // A test holds what the first load may weigh.
      chunkSizeWarningLimit: 1_000,
      rolldownOptions: {
        onLog: (level, log, tell) => {
          // Packages mark what runs in browsers, for frameworks that run the rest on servers: all of ours does. And how long
          // parts of the build took is for those who write bundlers.
          if (log.code !== "MODULE_LEVEL_DIRECTIVE" && log.code !== "PLUGIN_TIMINGS") tell(level, log);
        },
      },
    },
  };
}
