/**
 * Why the server cannot start or go on, in one line for the person who started it. The only error class of this
 * room; everything else that may go wrong is a refusal or a bug.
 */
export class Failure extends Error {
  override readonly name = "Failure";
  /** 2: wrong usage or configuration; 3: something it needs is away; 4: a bug. */
  readonly exitCode: 2 | 3 | 4;

  constructor(message: string, exitCode: 2 | 3 | 4, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}
