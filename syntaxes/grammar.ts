/** TextMate grammars as JSON has them, and the words that the assembler's tables give them. */
import { allMnemonics, PREFIXES } from '../emulator/assembler/mnemonics.ts';
import { REGISTERS } from '../emulator/assembler/registers.ts';
import { requiredRing } from '../emulator/cpu/table/rings.ts';

export interface Captures {
  readonly [number: number]: { readonly name: string };
}

export interface Rule {
  readonly name?: string;
  readonly contentName?: string;
  readonly match?: string;
  readonly begin?: string;
  readonly end?: string;
  readonly captures?: Captures;
  readonly beginCaptures?: Captures;
  readonly endCaptures?: Captures;
  readonly include?: string;
  readonly patterns?: readonly Rule[];
}

export interface Grammar extends Rule {
  readonly scopeName: string;
  readonly injectionSelector?: string;
  readonly repository: Readonly<Record<string, Rule>>;
}

/** Names in lower case, escaped for a regular expression. */
export interface Words {
  /** Jumps, calls and returns. */
  readonly branches: readonly string[];
  /** Instructions that need ring 0. */
  readonly privileged: readonly string[];
  readonly prefixes: readonly string[];
  readonly ordinary: readonly string[];
  readonly registers: readonly string[];
}

const escaped = (name: string): string => name.replace(/[.()]/g, '\\$&');

export function wordsOfTables(): Words {
  const branches: string[] = [];
  const privileged: string[] = [];
  const ordinary: string[] = [];
  for (const [name, candidates] of allMnemonics()) {
    const rows = candidates.map(({ row }) => row);
    if (rows.every((row) => requiredRing(row) === 0)) privileged.push(name);
    else if (rows.every(({ branch, system }) => branch !== undefined && (branch !== 'system' || !system)))
      branches.push(name);
    else ordinary.push(name);
  }
  return {
    branches,
    privileged,
    ordinary,
    prefixes: Object.keys(PREFIXES)
      .filter((name) => !/^[c-g]s$|^es$|^ss$/.test(name))
      .map(escaped),
    registers: [...REGISTERS.keys()].filter((name) => !name.includes('(')),
  };
}
