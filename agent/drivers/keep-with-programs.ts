import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fluentBitParsers } from "#shipper";
import { buildBundle } from "#trust";
import { timeApplies } from "../apply-times.ts";
import { keepPipeline } from "../keep-pipeline.ts";
import type { KeepOptions, KeptPipeline } from "../keep-pipeline.ts";
import type { BundleSource } from "../pipeline/pipeline.ts";
import { driveWith, watchDriver } from "./driven-pipeline.ts";
import { alertsInputs, rulesElsewhere } from "./falco/alerts-inputs.ts";
import type { Driver } from "./driver.ts";
import { Falco } from "./falco/falco.ts";
import type { FalcoWorld } from "./falco/falco.ts";
import { lookAtFalco, oneFalco } from "./falco/seen.ts";
import { rulesFileName } from "./falco/settings.ts";
import type { FalcoSettings } from "./falco/settings.ts";
import type { FileDriverPorts } from "./file-driver.ts";
import { FluentBit, mode } from "./fluent-bit/fluent-bit.ts";
import type { FluentBitWorld } from "./fluent-bit/fluent-bit.ts";
import { lookAtFluentBit, oneFluentBit } from "./fluent-bit/seen.ts";
import { parsersFileName } from "./fluent-bit/settings.ts";
import type { FluentBitSettings } from "./fluent-bit/settings.ts";
import { KubeApi } from "./kubernetes/kube-api.ts";
import { Lease } from "./kubernetes/lease.ts";
import { ObjectPlace } from "./kubernetes/object-place.ts";
import { Pods } from "./kubernetes/pods.ts";
import type { Resolve } from "./kubernetes/pods.ts";
import { filePlace } from "./place.ts";
import type { DrivenPorts } from "./open-drivers.ts";

/** A pipeline beside a Falco, and beside a Fluent Bit when there are settings of one. */
export function keepWithPrograms(
  options: KeepOptions,
  falco: FalcoSettings,
  fluentBit: FluentBitSettings | undefined,
  { dir, lost, back, engine: tell }: Omit<DrivenPorts, "settings">,
): KeptPipeline {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const alertsOnly = writeAlertsOnly(dir);
  const elsewhere = rulesElsewhere(falco);
  const pipeline = keepPipeline({ ...options, rulesElsewhere: elsewhere });
  const portsOf = (candidate: string, driver: () => Driver): FileDriverPorts => {
    const look = watchDriver({ lost, back });
    return {
      candidate: join(dir, candidate),
      render: (request, facts) => pipeline.render(request, facts),
      onProblem: (code, message) => options.onProblem({ code, message }),
      onLook: () => {
        look(driver());
        const { engine } = driver().report();
        if (engine !== undefined) tell(engine);
      },
    };
  };
  const rules: Driver = new Falco(
    falco,
    falcoWorld(falco),
    portsOf("candidate.yaml", () => rules),
  );
  const drivers = { rules, ...shipperOf() };
  return timeApplies(driveWith(pipeline, { drivers, alertsOnly, uncounted: alertsInputs }));

  function shipperOf(): { readonly shipper?: Driver } {
    if (fluentBit === undefined) return {};
    const ports = portsOf("candidate.conf", () => shipper);
    const shipper: Driver = new FluentBit(fluentBit, fluentBitWorld(fluentBit), {
      ...ports,
      records: elsewhere.records,
    });
    return { shipper };
  }
}

/** Where rules go, and how it is seen that they are there. */
export function falcoWorld({ pods, rulesDir, url }: FalcoSettings, resolve?: Resolve): FalcoWorld {
  if (pods === undefined) {
    return { place: filePlace(join(rulesDir, rulesFileName), 0o644), look: oneFalco(url) };
  }
  const api = new KubeApi(pods.kube);
  const place = new ObjectPlace(api, new Lease(api, pods.lease), pods.object);
  const falcos = new Pods(api, pods.pods, resolve);
  return { place, look: () => falcos.look(lookAtFalco) };
}

/** Where a shipper config goes, and how it is seen that it is there. A Secret, because it may hold some. */
export function fluentBitWorld({ pods, config, url }: FluentBitSettings, resolve?: Resolve): FluentBitWorld {
  if (pods === undefined) return { place: filePlace(config, mode), look: oneFluentBit(url) };
  const api = new KubeApi(pods.kube);
  const object = { ...pods.object, also: { [parsersFileName]: fluentBitParsers } };
  const fluentBits = new Pods(api, pods.pods, resolve);
  const place = new ObjectPlace(api, new Lease(api, pods.lease), object);
  return { place, look: () => fluentBits.look(lookAtFluentBit) };
}

/** A config of the agent's own: alerts to the server, and nothing else. */
export const alertsOnlyConfig = "[OUTPUT]\n  Name fleet\n  Match alerts\n";

function writeAlertsOnly(dir: string): BundleSource {
  const files = [{ path: "fluent-bit.conf", content: alertsOnlyConfig }];
  const built = buildBundle({
    org: "local",
    kind: "shipper",
    name: "alerts-only",
    version: "1.0.0",
    files,
    layers: [],
  });
  if (!built.ok) throw new Error(`The config of the agent's own is wrong: ${built.refusal.message}`);
  const path = join(dir, "alerts-only.json");
  writeFileSync(path, built.value.bytes, { mode: 0o600 });
  return { path, digest: built.value.digest };
}
