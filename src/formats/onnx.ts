import protobuf from "protobufjs/light.js";
import { writeFileAtomically } from "./atomic-file.ts";
import { ONNX_SCHEMA } from "./onnx-schema.ts";

/** TensorProto.DataType by the safetensors name of the same number type. */
export const ONNX_DATA_TYPE = {
  F32: 1,
  I32: 6,
  I64: 7,
  F16: 10,
  F64: 11,
  BF16: 16,
} as const;

export type OnnxDtype = keyof typeof ONNX_DATA_TYPE;

export function isOnnxDtype(name: string): name is OnnxDtype {
  return Object.hasOwn(ONNX_DATA_TYPE, name);
}

/** A number that ONNX stores as a float; a bare number is an integer. */
export interface FloatAttribute {
  readonly float: number;
}

export type OnnxAttribute = number | string | FloatAttribute | readonly number[];

/** One operator of a graph. An input named "" is an optional one left out. */
export interface OnnxNode {
  readonly name: string;
  readonly operator: string;
  /** "" for the standard's own operators. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** An input or output of a graph: each axis a size, or the name of a dynamic one. */
export interface OnnxValue {
  readonly name: string;
  readonly dtype: OnnxDtype;
  readonly shape: readonly (number | string)[];
}

/** Where a tensor's bytes stand outside the model file. `location` is relative to the model's folder. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** A tensor stored in the model itself (`bytes`, row-major, little-endian) or outside it (`external`). */
export interface OnnxTensor {
  readonly name: string;
  readonly dtype: OnnxDtype;
  readonly shape: readonly number[];
  readonly data: { readonly bytes: Uint8Array } | { readonly external: ExternalData };
}

export interface OnnxModel {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** Operator set version by domain; "" is the standard's own. */
  readonly opsets: Readonly<Record<string, number>>;
}

const IR_VERSION = 10;
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;
const EXTERNAL_LOCATION = 1;

const modelProto = protobuf.Root.fromJSON(ONNX_SCHEMA).lookupType("ModelProto");

function attributeMessage(name: string, value: OnnxAttribute): object {
  if (typeof value === "number") return { name, i: value, type: ATTRIBUTE_TYPE.int };
  if (typeof value === "string") return { name, s: Buffer.from(value, "utf8"), type: ATTRIBUTE_TYPE.string };
  if ("float" in value) return { name, f: value.float, type: ATTRIBUTE_TYPE.float };
  return { name, ints: value, type: ATTRIBUTE_TYPE.ints };
}

function nodeMessage(node: OnnxNode): object {
  return {
    input: node.inputs,
    output: node.outputs,
    name: node.name,
    opType: node.operator,
    domain: node.domain,
    attribute: Object.entries(node.attributes).map(([name, value]) => attributeMessage(name, value)),
  };
}

function tensorMessage(tensor: OnnxTensor): object {
  const message = { dims: tensor.shape, dataType: ONNX_DATA_TYPE[tensor.dtype], name: tensor.name };
  if ("bytes" in tensor.data) return { ...message, rawData: tensor.data.bytes };
  const { location, offset, length } = tensor.data.external;
  const externalData = [
    { key: "location", value: location },
    { key: "offset", value: String(offset) },
    { key: "length", value: String(length) },
  ];
  return { ...message, dataLocation: EXTERNAL_LOCATION, externalData };
}

function valueMessage(value: OnnxValue): object {
  const dim = value.shape.map((size) => (typeof size === "number" ? { dimValue: size } : { dimParam: size }));
  return { name: value.name, type: { tensorType: { elemType: ONNX_DATA_TYPE[value.dtype], shape: { dim } } } };
}

/** The bytes of an ONNX file (https://onnx.ai/onnx/repo-docs/IR.html). */
export function encodeModel(model: OnnxModel): Uint8Array {
  return modelProto
    .encode({
      irVersion: IR_VERSION,
      producerName: "tensorrt-redux",
      opsetImport: Object.entries(model.opsets).map(([domain, version]) => ({ domain, version })),
      graph: {
        name: model.name,
        node: model.nodes.map(nodeMessage),
        initializer: model.initializers.map(tensorMessage),
        input: model.inputs.map(valueMessage),
        output: model.outputs.map(valueMessage),
      },
    })
    .finish();
}

/** Writes an ONNX file; it appears under `path` whole or not at all. */
export async function writeModel(path: string, model: OnnxModel): Promise<void> {
  await writeFileAtomically(path, (writer) => writer.write(encodeModel(model)));
}
