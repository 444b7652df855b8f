/** When `run` is to come back though its budget is not used up, since what the guest does may take for ever. What comes of the guest does not depend on it. */

/** Events delivered with no instruction between them; an instruction needs fewer. */
const MOST_FRUITLESS = 50_000;
/** Modelled cycles of repeated string instructions, and the least that a part of one stands for if it reaches devices. */
const LONGEST_REPETITION = 2 ** 27;
const CAREFUL_PART = 2 ** 22;

export class Patience {
  /** Events delivered since an instruction retired, and how many had retired at the last one. */
  #fruitless = 0;
  #deliveredAt = -1;
  /** Cycles of repeated string instructions since `run` last came back for them, or since a caller that runs in slices began. */
  #repeated = 0;

  restore(): void {
    this.#repeated = 0;
  }
  /** A `run` begins. */
  begin(): void {
    this.#fruitless = 0;
  }
  delivered(retired: number): void {
    this.#fruitless = retired === this.#deliveredAt ? this.#fruitless + 1 : 0;
    this.#deliveredAt = retired;
  }
  /** A part of a repeated string instruction (REPEAT_PART) is done. */
  repeated(cycles: number, careful: boolean): void {
    this.#repeated += careful ? Math.max(cycles, CAREFUL_PART) : cycles;
  }

  get fruitless(): boolean {
    return this.#fruitless > MOST_FRUITLESS;
  }
  /** Whether `run` comes back now. */
  ends(): boolean {
    const repeated = this.#repeated > LONGEST_REPETITION;
    if (repeated) this.#repeated = 0;
    return repeated || this.fruitless;
  }
}
