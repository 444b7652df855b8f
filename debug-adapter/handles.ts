/** Numbers that stand for objects in the protocol. DAP numbers start at 1 and, for frames and variables, live until the next resume. */
export class Handles<T> {
  readonly #objects = new Map<number, T>();
  #next: number;

  constructor(readonly first = 1) {
    this.#next = first;
  }

  add(object: T): number {
    this.#objects.set(this.#next, object);
    return this.#next++;
  }
  get(handle: number): T | undefined {
    return this.#objects.get(handle);
  }
  /** Old numbers are not used again: a late request must not get another object. */
  clear(): void {
    this.#objects.clear();
  }
}
