/** When an image that no registry has is asked for again. */
interface Wait {
  readonly image: string;
  readonly atMs: number;
  readonly nextMs: number;
}

/** Real kubelets begin with 10 s and end at 5 min. */
const firstMs = 800;
const lastMs = 4_000;

/** How the kubelets pull images: at once, and after a failure again when they have waited, twice as long each time up to a bound. */
export class ImagePulls {
  readonly #waits = new Map<string, Wait>();

  /** What becomes of a pod's image now; times in milliseconds. */
  pull(pod: string, image: string, isMissing: () => boolean, nowMs: number): "pulled" | "failed" | "waits" {
    const before = this.#waits.get(pod);
    const isSame = before?.image === image;
    if (isSame && nowMs < before.atMs) return "waits";
    if (!isMissing()) {
      this.#waits.delete(pod);
      return "pulled";
    }
    const waitMs = isSame ? before.nextMs : firstMs;
    this.#waits.set(pod, { image, atMs: nowMs + waitMs, nextMs: Math.min(waitMs * 2, lastMs) });
    return "failed";
  }

  /** The pod is gone, and with it what was waited for. */
  forget(pod: string): void {
    this.#waits.delete(pod);
  }
}
