import { relative } from "node:path";
import type { Metafile } from "esbuild";
import { build } from "vite";
import { consoleConfig } from "../../web/vite-config.ts";

/** Builds the console into a folder. Returns what went in, as for programs. */
export async function bundleConsole(root: string, outDir: string): Promise<Metafile> {
  const built = await build(consoleConfig(outDir));
  if (!("output" in built)) throw new Error("The console was not built in one piece");
  const outputs = built.output.flatMap((file) => {
    if (file.type !== "chunk") return [];
    const inputs = Object.entries(file.modules).map(([id, { renderedLength }]) => [
      relative(root, id.replace(/^\0/, "")),
      { bytesInOutput: renderedLength },
    ]);
    return [[file.fileName, { inputs: Object.fromEntries(inputs) as Metafile["outputs"][string]["inputs"] }]];
  });
  return { inputs: {}, outputs: Object.fromEntries(outputs) as Metafile["outputs"] };
}
