import * as models from "@kubernetes/client-node";
import type { ErrorObject, Schema } from "./schemas.ts";
import { schemas } from "./schemas.ts";

/** What is wrong with an object, as kube-apiserver's strict field validation would see it. */
export interface FieldProblem {
  /** As in `spec.template.spec.containers[0].image`. */
  readonly field: string;
  readonly message: string;
}

/**
 * Checks an object against the OpenAPI schema of its kind: types, required fields, enumerations and formats by the
 * schemas of `kubernetes-models`, and fields that nobody knows by the attribute maps of the Kubernetes client, because
 * the published schemas let those pass. A kind without a schema is a problem.
 */
export async function validateObject(object: object): Promise<readonly FieldProblem[]> {
  const { apiVersion, kind } = object as models.KubernetesObject;
  const id = `${apiVersion ?? ""}/${kind ?? ""}`;
  const schema = schemas[id];
  if (schema === undefined) return [{ field: "kind", message: `no schema for ${id}` }];
  return [...(await schemaProblems(schema, object)), ...unknownFields(object, schema.model, "")];
}

async function schemaProblems(schema: Schema, object: object): Promise<readonly FieldProblem[]> {
  const validate = await schema.load();
  if (validate(object)) return [];
  return (validate.errors ?? []).map((error: ErrorObject) => ({
    field: error.instancePath
      .slice(1)
      .replaceAll(/\/(\d+)(?=\/|$)/g, "[$1]")
      .replaceAll("/", "."),
    message: `${error.keyword}: ${JSON.stringify(error.params)}`,
  }));
}

interface Attribute {
  readonly baseName: string;
  readonly type: string;
}

/** Undefined for a type that is no object of named fields: a text, a number, a map, a custom resource. */
function attributesOf(type: string | undefined): readonly Attribute[] | undefined {
  if (type === undefined) return undefined;
  const model = (models as unknown as Record<string, { getAttributeTypeMap?: () => readonly Attribute[] }>)[
    type
  ];
  return model?.getAttributeTypeMap?.();
}

function unknownFields(value: unknown, type: string | undefined, at: string): FieldProblem[] {
  if (Array.isArray(value)) {
    const element = /^Array<(.+)>$/.exec(type ?? "")?.[1];
    return value.flatMap((each, index) => unknownFields(each, element, `${at}[${index}]`));
  }
  const attributes = attributesOf(type);
  if (attributes === undefined || typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const field = at === "" ? key : `${at}.${key}`;
    const known = attributes.find(({ baseName }) => baseName === key);
    if (known === undefined) return [{ field, message: "unknown field" }];
    return unknownFields(inner, known.type, field);
  });
}
