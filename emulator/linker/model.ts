/** What the linker knows of its inputs (System V gABI chapter 4). */

/** What is wrong with an input, in one sentence that names it. */
export class LinkError extends Error {}

export interface InputSection {
  readonly object: InputObject;
  readonly name: string;
  /** SHT_* and SHF_* numbers. */
  readonly type: number;
  readonly flags: number;
  readonly alignment: number;
  readonly entrySize: number;
  readonly size: number;
  /** Empty for SHT_NOBITS. */
  readonly bytes: Uint8Array;
  readonly relocations: InputRelocation[];
  /** Belongs to a COMDAT group that another object has brought already. */
  discarded: boolean;
  /** Address, or offset in an output section that is not loaded. */
  address: number;
}

export interface InputRelocation {
  readonly offset: number;
  readonly type: number;
  /** Index into the object's symbols. */
  readonly symbol: number;
  readonly addend: number;
}

export interface InputSymbol {
  readonly name: string;
  readonly binding: 'local' | 'global' | 'weak';
  /** STT_* number. */
  readonly type: number;
  readonly other: number;
  /** Where it is defined; undefined if it is not. */
  readonly place: InputSection | 'absolute' | 'common' | undefined;
  /** Offset in the section, absolute value, or alignment of a common symbol. */
  readonly value: number;
  readonly size: number;
}

export interface InputObject {
  /** Path, or archive(member). */
  readonly name: string;
  readonly sections: InputSection[];
  readonly symbols: InputSymbol[];
}

export interface OutputSection {
  readonly name: string;
  type: number;
  flags: number;
  alignment: number;
  entrySize: number;
  readonly inputs: InputSection[];
  address: number;
  /** Bytes in memory. */
  size: number;
  /** File offset. */
  offset: number;
}

/** A symbol of the program: one for each global name, and what the linker itself defines. */
export interface Definition {
  readonly name: string;
  /** The symbol that won; undefined for those that the linker defines. */
  symbol: InputSymbol | undefined;
  object: InputObject | undefined;
  isWeak: boolean;
  /** Set by the layout. */
  address: number | undefined;
  /** Where a common symbol was put. */
  commonAt: number | undefined;
}
