import { compileMatch } from "#shipper";
import type { InputConfig, PipelineConfig } from "#shipper";
import type { Detection } from "./router.ts";

/**
 * Sources of rules that are enabled and see no events, because no input that could give them leads to `detect`. Such rules
 * look as if they watched over something.
 */
export function unfedSources(config: PipelineConfig, detection: Detection | undefined): readonly string[] {
  const detects = config.outputs.filter((output) => output.plugin === "detect");
  if (detection === undefined || detects.length === 0) return [];
  const takes = detects.map((output) => compileMatch(output.match));
  const fed = new Set(
    config.inputs.flatMap((input) => {
      // What a tag with * becomes depends on files: it may lead anywhere.
      const isTaken = input.tag.includes("*") || takes.some((one) => one(input.tag));
      return isTaken ? [sourceOf(input)] : [];
    }),
  );
  return [...detection.sources].filter((source) => !fed.has(source)).sort();
}

/** What records of an input are to rules. */
function sourceOf(input: InputConfig): string {
  const isAudit = (input.plugin === "tail" || input.plugin === "stdin") && input.format.kind === "auditd";
  return isAudit ? "syscall" : "k8s_audit";
}
