/** A picture of an image that is not finished, of the latents' size: a pixel stands for 8 × 8 of the image. */
export interface Preview {
  readonly width: number;
  readonly height: number;
  /** A PNG file in base64. */
  readonly data: string;
}

/** How far a job is; `fraction` is 0–1 where the end is known. */
export interface Progress {
  readonly stage: string;
  readonly fraction?: number;
  readonly message?: string;
  readonly secondsLeft?: number;
  /** Of `generate`, where `previewEvery` asks for it. */
  readonly preview?: Preview;
}

/** What every job is handed besides its options. */
export interface JobContext {
  readonly signal?: AbortSignal;
  progress(progress: Progress): void;
  log(level: "debug" | "info" | "warn" | "error", message: string): void;
}
