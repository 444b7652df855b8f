/** Sets of interrupt vectors, 32 to a word, as ISR, IRR and TMR of an APIC have them. */
export type Words = Uint32Array;

export const Bits256 = {
  empty: (): Words => new Uint32Array(8),
  has: (words: Words, bit: number): boolean => ((words[bit >> 5]! >>> (bit & 31)) & 1) === 1,
  set: (words: Words, bit: number): void => {
    words[bit >> 5]! |= 1 << (bit & 31);
  },
  clear: (words: Words, bit: number): void => {
    words[bit >> 5]! &= ~(1 << (bit & 31));
  },
  /** -1 if there is none. */
  highest: (words: Words): number => {
    for (let word = 7; word >= 0; word--) if (words[word]) return word * 32 + 31 - Math.clz32(words[word]);
    return -1;
  },
} as const;
