const bytesMin = 16 * 1024;

/**
 * How large a request may be, as the destination shows: half of what was too large for it, for good; half of what it could
 * not take in time, until it can again. So a proxy with a limit of one megabyte costs one refusal and not one per
 * request, and a line of one kilobyte a second still carries something within the timeout.
 */
export class RequestSize {
  #most: number;
  #now: number;

  constructor(bytesMax: number) {
    this.#most = bytesMax;
    this.#now = bytesMax;
  }

  get bytesMax(): number {
    return this.#now;
  }

  /** Several records of so many bytes were more than the destination takes. */
  tooLarge(bytes: number): void {
    this.#most = Math.max(Math.min(this.#most, Math.floor(bytes / 2)), bytesMin);
    this.#now = Math.min(this.#now, this.#most);
  }

  /** So many bytes did not go through in time. */
  tooSlow(bytes: number): void {
    this.#now = Math.max(Math.min(this.#now, Math.floor(bytes / 2)), bytesMin);
  }

  /** No answer came at all. Perhaps all of it was taken: the next attempts repeat as little as can be. */
  late(): void {
    this.#now = bytesMin;
  }

  delivered(): void {
    this.#now = Math.min(this.#now * 2, this.#most);
  }
}
