import { UserError } from "../formats/errors.ts";
import type { SelfTest } from "../formats/self-test.ts";
import type { Component } from "../models/architecture.ts";
import type { Inputs, Outputs } from "./engine.ts";

/** What half precision leaves of a right network; a wrong one is far below. */
const LEAST_COSINE = 0.999;

/** A network as the self-test sees it. */
export interface TestedNetwork {
  readonly run: (inputs: Inputs) => Promise<Outputs>;
  /** Gives some weights other values by a refit; absent where none can be changed. */
  readonly change?: () => Promise<unknown>;
  /** Gives them the base's again. */
  readonly restore: () => Promise<unknown>;
}

/**
 * Compares a network's outputs with the reference's for the same inputs, then changes weights and sets them back: the outputs must change,
 * stay finite, and come back bit for bit. Throws "engine.failed" with what is wrong.
 */
export async function testNetwork(component: Component, network: TestedNetwork, inputs: Inputs, reference: Outputs): Promise<SelfTest> {
  const first = await network.run(inputs);
  const cosines = Object.entries(reference).map(([name, { data }]) => {
    const output = requireFinite(component, name, first[name]?.data);
    const found = cosine(output, data);
    if (found >= LEAST_COSINE) return found;
    throw failed(component, `its output "${name}" is not ONNX Runtime's (cosine ${found.toFixed(4)}; at least ${LEAST_COSINE} is needed)`);
  });
  // Rounding may make it a little more than 1.
  const passed = { component, outcome: "passed", cosine: Math.min(1, ...cosines) } as const;
  if (!network.change) return passed;
  await network.change();
  const changed = await network.run(inputs);
  await network.restore();
  const last = await network.run(inputs);
  for (const [name, { data }] of Object.entries(changed)) requireFinite(component, name, data);
  if (sameBits(changed, first)) throw failed(component, "its outputs stay the same when weights are changed by a refit");
  if (!sameBits(last, first)) throw failed(component, "its outputs are not the same bits again after a refit and back");
  return { ...passed, refit: true };
}

function requireFinite(component: Component, name: string, values: Float32Array | undefined): Float32Array {
  if (!values) throw failed(component, `it has no output "${name}"`);
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return values;
  throw failed(component, `its output "${name}" holds ${values[bad]} (at position ${bad})`);
}

function failed(component: Component, what: string): UserError {
  return new UserError(
    "engine.failed",
    `The ${component} was built but fails its self-test: ${what}. Nothing was kept. Export again with another --precision, or with another version of TensorRT.`,
  );
}

function sameBits(a: Outputs, b: Outputs): boolean {
  return Object.entries(a).every(([name, { data }]) => {
    const other = b[name]?.data;
    return other !== undefined && bytes(data).equals(bytes(other));
  });
}

function bytes({ buffer, byteOffset, byteLength }: Float32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** 1 for two vectors of zeros, 0 where their lengths differ. */
function cosine(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return 0;
  let [product, squaresA, squaresB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    product += a[i]! * b[i]!;
    squaresA += a[i]! * a[i]!;
    squaresB += b[i]! * b[i]!;
  }
  return squaresA === 0 && squaresB === 0 ? 1 : product / (Math.sqrt(squaresA * squaresB) || 1);
}
