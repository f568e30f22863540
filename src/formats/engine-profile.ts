import { z } from "zod";

const sizeSchema = z.int().positive();

/** min, opt, max of one axis, as TensorRT's optimization profiles have them. */
const axisSchema = z
  .strictObject({ min: sizeSchema, opt: sizeSchema, max: sizeSchema })
  .refine(({ min, opt, max }) => min <= opt && opt <= max, "must have min ≤ opt ≤ max");

/**
 * The shapes a component runs at: batch; height and width in pixels of the image (for the unet too); context in tokens. An axis
 * the component does not have is absent. A static one has min = opt = max everywhere.
 */
export const profileSchema = z
  .strictObject({
    static: z.boolean(),
    batch: axisSchema,
    height: axisSchema.optional(),
    width: axisSchema.optional(),
    context: axisSchema.optional(),
  })
  .refine(
    ({ static: isStatic, ...axes }) => !isStatic || Object.values(axes).every((axis) => axis === undefined || axis.min === axis.max),
    "is static, so min and max must be equal on every axis",
  );

export type ProfileAxis = z.infer<typeof axisSchema>;
export type Profile = z.infer<typeof profileSchema>;

/**
 * The common start of a component's file names: "unet_dyn-b1-4-h832-1920-w832-1920", "unet_stat-b1-h1024-w1024"; axes the
 * component does not have are left out ("text_encoder_dyn-b1-4"). Context does not stand in it.
 */
export function componentFileStem(component: string, profile: Profile): string {
  const axes = [
    ["b", profile.batch],
    ["h", profile.height],
    ["w", profile.width],
  ] as const;
  const parts = axes.flatMap(([letter, axis]) => {
    if (!axis) return [];
    return profile.static ? [`${letter}${axis.opt}`] : [`${letter}${axis.min}-${axis.max}`];
  });
  return `${component}_${profile.static ? "stat" : "dyn"}-${parts.join("-")}`;
}

export interface ComponentFileNames {
  readonly engine: string;
  readonly onnx: string;
  readonly weights: string;
}

/** The names of a component's files in an engine bundle: the plan, the graph and the list of its weights. */
export function componentFileNames(component: string, profile: Profile): ComponentFileNames {
  const stem = componentFileStem(component, profile);
  return { engine: `${stem}.engine`, onnx: `${stem}.onnx`, weights: `${stem}_weights.json` };
}
