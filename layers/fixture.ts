import { type Bundle, buildBundle, type Layer, type LayerLevel } from "#trust";

/** For tests: three rules and what layers tune in them. */
export const baseRules = `- list: tools
  items: [velero]
- macro: answered
  condition: (ka.stage = ResponseComplete)
- rule: Secret Read
  desc: d
  condition: answered and ka.verb = get and ka.target.resource = secrets and not ka.user.name in (tools)
  output: Secret read (user=%ka.user.name)
  priority: WARNING
  source: k8s_audit
  tags: [T1552]
- rule: Exec
  desc: d
  condition: answered and ka.target.subresource = exec
  output: Exec (user=%ka.user.name)
  priority: NOTICE
  source: k8s_audit
`;

/** For tests: a layer of one file, `tune.yaml`. */
export function layer(level: LayerLevel, name: string, selector: Layer["selector"], content: string): Layer {
  return { name, level, selector, files: [{ path: "tune.yaml", content }] };
}

/** For tests: a rules bundle of {@link baseRules} and layers. */
export function bundleWith(...layers: readonly Layer[]): Bundle {
  const files = [{ path: "base.yaml", content: baseRules }];
  const built = buildBundle({ org: "default", kind: "rules", name: "x", version: "1.0.0", files, layers });
  if (!built.ok) throw new Error(built.refusal.message);
  return built.value.bundle;
}
