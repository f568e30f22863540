import type { RgbImage } from "../../formats/rgb-image.ts";
import {
  decoderNanError,
  notFiniteError,
  type DenoisingStep,
  type DeviceLatents,
  type DeviceSampling,
  type LatentTerm,
} from "../latents.ts";
import { settle, type NativeLatentCommand, type NativeNetwork, type NativeSampling } from "./native.ts";

/** Latents in one of the sampling's slots; freed ones have none. */
interface Slotted {
  slot: number | undefined;
}

interface Place {
  /** Runs one piece of work after the other on the engine, or throws where it was unloaded. */
  run<Result>(work: () => Promise<Result>): Promise<Result>;
  /** The VAE decoder, as it is loaded now. */
  decoder(): NativeNetwork;
}

/**
 * A sampling on the GPU. What is asked of it is only noted down, and goes to the native side, in order, with the next model call or download:
 * one crossing a step, and none of JavaScript's thread ever waits for the GPU.
 */
export class TensorRtSampling implements DeviceSampling {
  readonly #native: NativeSampling;
  readonly #place: Place;
  #noted: NativeLatentCommand[] = [];
  readonly #alive = new Set<Slotted>();
  readonly #freeSlots: number[] = [];
  #slots = 0;

  constructor(native: NativeSampling, place: Place) {
    this.#native = native;
    this.#place = place;
  }

  fromHost(values: Float32Array): DeviceLatents {
    const [latents, to] = this.#make();
    this.#noted.push({ kind: "upload", to, values });
    return latents;
  }

  combine(...terms: readonly LatentTerm<DeviceLatents>[]): DeviceLatents {
    const [latents, to] = this.#make();
    this.#noted.push({ kind: "combine", to, terms: terms.map(([weight, each]) => ({ weight, slot: slotOf(each) })) });
    return latents;
  }

  async denoise(x: DeviceLatents, step: DenoisingStep): Promise<DeviceLatents> {
    const from = slotOf(x);
    const [latents, to] = this.#make();
    await this.#send({ kind: "denoise", to, from, step });
    return latents;
  }

  async toHost(latents: DeviceLatents): Promise<Float32Array> {
    const [values] = await this.#send({ kind: "download", from: slotOf(latents) });
    return values!;
  }

  keepOnly(kept: readonly DeviceLatents[]): void {
    for (const latents of this.#alive) {
      if (kept.includes(latents)) continue;
      // What was noted down before still finds its numbers there: the slot gets new ones only after it.
      this.#freeSlots.push(slotOf(latents));
      latents.slot = undefined;
      this.#alive.delete(latents);
    }
  }

  async decode(latents: DeviceLatents, image: number, { scale, shift }: { scale: number; shift: number }): Promise<RgbImage> {
    const slot = slotOf(latents);
    if (this.#noted.length > 0) await this.#send();
    const { hasNan, ...picture } = await this.#place.run(() =>
      settle(this.#native.decode({ network: this.#place.decoder(), input: "latents", slot, image, scale, shift })),
    );
    if (hasNan) throw decoderNanError();
    return picture;
  }

  close(): Promise<void> {
    return this.#native.close();
  }

  #make(): [latents: Slotted, slot: number] {
    const slot = this.#freeSlots.pop() ?? this.#slots++;
    const latents = { slot };
    this.#alive.add(latents);
    return [latents, slot];
  }

  async #send(...last: readonly NativeLatentCommand[]): Promise<readonly Float32Array[]> {
    const commands = [...this.#noted, ...last];
    this.#noted = [];
    const { badTimestep, downloads } = await this.#place.run(() => settle(this.#native.execute(commands)));
    if (badTimestep !== undefined) throw notFiniteError(badTimestep);
    return downloads;
  }
}

function slotOf(latents: DeviceLatents): number {
  const { slot } = latents as Slotted;
  if (slot === undefined) throw new Error("Latents were used after they had been freed.");
  return slot;
}
