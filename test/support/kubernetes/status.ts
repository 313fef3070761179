/** An error of the API: the HTTP code, and the `Status` object that comes with it. */
export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly causes: readonly object[];

  constructor(code: number, reason: string, message: string, causes: readonly object[] = []) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.causes = causes;
  }

  /** As kube-apiserver writes it. */
  status(): object {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: this.message,
      reason: this.reason,
      details: { causes: this.causes },
      code: this.code,
    };
  }
}

export const notFound = (plural: string, name: string): ApiError =>
  new ApiError(404, "NotFound", `${plural} "${name}" not found`);
