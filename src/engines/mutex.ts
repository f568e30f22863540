/** Runs asynchronous work one piece at a time, in the order it was asked for. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  run<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(work);
    // The next piece waits for this one but does not inherit its failure.
    this.#last = result.catch(() => undefined);
    return result;
  }
}
