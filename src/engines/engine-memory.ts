/** Bytes held, by what holds them. */
export interface EngineMemory {
  /** Copies of the base's weights, wherever they are. */
  readonly base: number;
  readonly merged: number;
  /** Of engines on a GPU: the plans' weights, the contexts' scratch memory with the inputs and outputs, and what is free there. */
  readonly gpu?: { readonly plan: number; readonly contexts: number; readonly base: number; readonly free: number; readonly total: number };
}
