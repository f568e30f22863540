import type { LayerPlace } from "../../jobs/inspection/types.ts";

/** A square of the map: the layers of one role in one block. */
export interface MapCell {
  readonly role: string;
  /** Indices of the layers. */
  readonly layers: readonly number[];
  /** Absent where no layer has a number (yet). */
  readonly value?: number;
}

export interface MapBlock {
  readonly block: string;
  /** By role. */
  readonly cells: ReadonlyMap<string, MapCell>;
  readonly total?: number;
}

export interface MapComponent {
  readonly component: string;
  readonly roles: readonly string[];
  readonly blocks: readonly MapBlock[];
}

/** What several layers amount to; undefined where none has a number yet. */
export type Combine = (layers: readonly number[]) => number | undefined;

/** The order that networks run their blocks in, and that people know roles in. What is not named comes after. */
const COMPONENTS = ["unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3", "vae", "vae_encoder", "vae_decoder"];
const BLOCKS = ["IN", "DOWN", "joint", "double", "single", "block", "layer", "MID", "OUT", "UP"];
const ROLES =
  "attn1 q,attn1 k,attn1 v,attn1 out,attn2 q,attn2 k,attn2 v,attn2 out,qkv,attn q,attn k,attn v,attn out,ff in,ff out,proj in,proj out,conv 1,conv 2,conv,skip,sample,time,modulation,norm,embedding".split(
    ",",
  );

/** Layers as a map: per component, blocks in the order they run by roles. */
export function networkMap(places: readonly LayerPlace[], combine: Combine): MapComponent[] {
  const components = group(places.keys(), (index) => places[index]!.component);
  return ordered(components, COMPONENTS).map(([component, indices]) => {
    const roles = ordered(
      group(indices, (index) => places[index]!.role),
      ROLES,
    ).map(([role]) => role);
    const blocks = ordered(
      group(indices, (index) => places[index]!.block),
      BLOCKS,
    ).map(([block, layers]) => mapBlock(block, layers));
    return { component, roles, blocks };
  });

  function mapBlock(block: string, indices: readonly number[]): MapBlock {
    const cells = new Map<string, MapCell>();
    for (const [role, layers] of group(indices, (index) => places[index]!.role)) cells.set(role, { role, layers, ...valueOf(layers) });
    const { value } = valueOf(indices);
    return { block, cells, ...(value !== undefined && { total: value }) };
  }

  function valueOf(layers: readonly number[]): { readonly value?: number } {
    const value = combine(layers);
    return value === undefined ? {} : { value };
  }
}

/** The largest value of any cell; 0 where there is none. */
export function largestCell(components: readonly MapComponent[]): number {
  const values = components.flatMap(({ blocks }) => blocks.flatMap(({ cells }) => Array.from(cells.values(), ({ value }) => value ?? 0)));
  return values.reduce((largest, value) => Math.max(largest, value), 0);
}

export function largestBlock(components: readonly MapComponent[]): number {
  return components.flatMap(({ blocks }) => blocks).reduce((largest, { total }) => Math.max(largest, total ?? 0), 0);
}

function group(indices: Iterable<number>, key: (index: number) => string): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const index of indices) {
    const name = key(index);
    const members = groups.get(name);
    if (members) members.push(index);
    else groups.set(name, [index]);
  }
  return groups;
}

/** By the names' first words as listed, then by their numbers. */
function ordered(groups: ReadonlyMap<string, number[]>, order: readonly string[]): [string, number[]][] {
  const rank = (name: string) => {
    const [, word = name, number = "0"] = /^(.*?)(?: (\d+))?$/.exec(name) ?? [];
    const exact = order.indexOf(name);
    const place = exact >= 0 ? exact : order.indexOf(word);
    return [place < 0 ? order.length : place, Number(number)] as const;
  };
  return Array.from(groups).toSorted(([a], [b]) => rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1]);
}
