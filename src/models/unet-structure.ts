import type { UNetLevel, UNetMiddle, UNetStructure } from "./configuration.ts";
import type { TensorShapes } from "./tensor-shapes.ts";
import { UNET_PREFIX } from "./unet-parts.ts";

/** Reads the structure of a UNet whose keys are single-file names (with UNET_PREFIX). */
export function unetStructureFromLdm(shapes: TensorShapes): UNetStructure {
  const levels = ldmLevels(shapes);
  const transformer = firstTransformer(shapes, ldmTransformers(levels.length, shapes));
  return {
    ...outerSizes(shapes, `${UNET_PREFIX}input_blocks.0.0`, `${UNET_PREFIX}out.2`, `${UNET_PREFIX}label_emb.0.0`),
    ...transformer,
    levels,
    middle: middle(
      shapes,
      (index) => `${UNET_PREFIX}middle_block.${index === 0 ? 0 : 2}.in_layers.0.weight`,
      `${UNET_PREFIX}middle_block.1`,
    ),
  };
}

/** Reads the structure of a UNet whose keys are those of diffusers' UNet2DConditionModel. */
export function unetStructureFromDiffusers(shapes: TensorShapes): UNetStructure {
  const count = shapes.count("down_blocks.", ".resnets.0.conv1.weight");
  const levels = Array.from({ length: count }, (_, index): UNetLevel => {
    const up = `up_blocks.${count - 1 - index}`;
    return {
      width: shapes.size(`down_blocks.${index}.resnets.0.conv1.weight`, 0),
      down: diffusersDepths(shapes, `down_blocks.${index}`),
      up: diffusersDepths(shapes, up),
    };
  });
  const transformers = levels.flatMap(({ down }, level) => down.map((_, position) => `down_blocks.${level}.attentions.${position}`));
  return {
    ...outerSizes(shapes, "conv_in", "conv_out", "add_embedding.linear_1"),
    ...firstTransformer(shapes, [...transformers, "mid_block.attentions.0"]),
    levels,
    middle: middle(shapes, (index) => `mid_block.resnets.${index}.norm1.weight`, "mid_block.attentions.0"),
  };
}

function outerSizes(shapes: TensorShapes, first: string, last: string, label: string) {
  return {
    inChannels: shapes.size(`${first}.weight`, 1),
    outChannels: shapes.size(`${last}.weight`, 0),
    modelChannels: shapes.size(`${first}.weight`, 0),
    admWidth: shapes.has(`${label}.weight`) ? shapes.size(`${label}.weight`, 1) : 0,
  };
}

function ldmLevels(shapes: TensorShapes): UNetLevel[] {
  const down: { width: number; depths: number[] }[] = [];
  let level: { width: number; depths: number[] } | undefined;
  for (let block = 1; ; block++) {
    const path = `${UNET_PREFIX}input_blocks.${block}`;
    if (shapes.has(`${path}.0.op.weight`)) {
      level = undefined;
    } else if (shapes.has(`${path}.0.in_layers.0.weight`)) {
      if (!level) down.push((level = { width: shapes.size(`${path}.0.out_layers.3.weight`, 0), depths: [] }));
      level.depths.push(transformerDepth(shapes, `${path}.1`));
    } else {
      break;
    }
  }
  const up = ldmUpDepths(shapes);
  return down.map(({ width, depths }, index) => ({ width, down: depths, up: up[down.length - 1 - index] ?? [] }));
}

/** Depths on the way up, from the lowest resolution: a level ends with its upsampler. */
function ldmUpDepths(shapes: TensorShapes): number[][] {
  const levels: number[][] = [[]];
  for (let block = 0; shapes.has(`${UNET_PREFIX}output_blocks.${block}.0.in_layers.0.weight`); block++) {
    const path = `${UNET_PREFIX}output_blocks.${block}`;
    levels.at(-1)!.push(transformerDepth(shapes, `${path}.1`));
    if (shapes.has(`${path}.1.conv.weight`) || shapes.has(`${path}.2.conv.weight`)) levels.push([]);
  }
  return levels;
}

function diffusersDepths(shapes: TensorShapes, path: string): number[] {
  const count = shapes.count(`${path}.resnets.`, ".norm1.weight");
  return Array.from({ length: count }, (_, position) => transformerDepth(shapes, `${path}.attentions.${position}`));
}

function transformerDepth(shapes: TensorShapes, path: string): number {
  return shapes.count(`${path}.transformer_blocks.`, ".norm1.weight");
}

function middle(shapes: TensorShapes, residual: (index: number) => string, transformer: string): UNetMiddle {
  const residualBlocks = [0, 1].filter((index) => shapes.has(residual(index))).length;
  return { residualBlocks, depth: transformerDepth(shapes, transformer) };
}

function ldmTransformers(levels: number, shapes: TensorShapes): string[] {
  const blocks = shapes.count(`${UNET_PREFIX}output_blocks.`, ".0.in_layers.0.weight") + levels;
  return [...Array.from({ length: blocks }, (_, block) => `${UNET_PREFIX}input_blocks.${block}.1`), `${UNET_PREFIX}middle_block.1`];
}

/** What all transformers of a UNet share, read off the first; a UNet without any takes no context. */
function firstTransformer(shapes: TensorShapes, paths: readonly string[]) {
  const path = paths.find((candidate) => transformerDepth(shapes, candidate) > 0);
  if (path === undefined) return { contextWidth: 0, linearProjections: false };
  return {
    contextWidth: shapes.size(`${path}.transformer_blocks.0.attn2.to_k.weight`, 1),
    linearProjections: shapes.rank(`${path}.proj_in.weight`) === 2,
  };
}
