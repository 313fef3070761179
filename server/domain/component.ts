/**
 * What runs on a cluster as one, is assigned as one and proved as one: the rules, the shipper, or a layer that a team owns. A
 * rollout moves one component. Agents call them the same in their reports.
 */
export type ComponentName = BundleComponent | LayerComponent;
export type BundleComponent = "rules" | "shipper";
export type LayerComponent = `layer/${string}`;

const prefix = "layer/";

export function layerComponent(layer: string): LayerComponent {
  return `${prefix}${layer}`;
}

/** The layer that a component is; undefined for the others. */
export function layerOf(component: ComponentName): string | undefined {
  return component.startsWith(prefix) ? component.slice(prefix.length) : undefined;
}

/** What the bundles of a component hold. */
export function kindOf(component: ComponentName): BundleComponent | "layer" {
  return component === "rules" || component === "shipper" ? component : "layer";
}

/** The component that a bundle is for. */
export function componentOf(bundle: {
  readonly kind: BundleComponent | "layer";
  readonly name: string;
}): ComponentName {
  return bundle.kind === "layer" ? layerComponent(bundle.name) : bundle.kind;
}
