/** Assembly in GNU syntax to a flat binary, by the host's `as` and `ld`, for specs written in assembly. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Assembled {
  /** Section .text, from `origin` on. */
  readonly bytes: Uint8Array;
  /** Addresses of labels. */
  readonly symbols: ReadonlyMap<string, number>;
}

/** Throws with the assembler's message. Intel syntax without prefixes. */
export function assemble(source: string, origin: number): Assembled {
  const directory = mkdtempSync(join(tmpdir(), 'assemble-'));
  const at = (name: string): string => join(directory, name);
  const tool = (name: string, ...args: string[]): void => {
    execFileSync(name, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  };
  try {
    writeFileSync(at('code.s'), `.intel_syntax noprefix\n.code64\n.text\n${source}\n`);
    tool('as', '--64', '-o', at('code.o'), at('code.s'));
    const start = `0x${origin.toString(16)}`;
    tool('ld', '-Ttext', start, '-e', start, '-o', at('code.elf'), at('code.o'));
    return readExecutable(readFileSync(at('code.elf')));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const SYMTAB = 2;
const SECTION_HEADER = 64;
const SYMBOL = 24;

function readExecutable(elf: Buffer): Assembled {
  const table = Number(elf.readBigUInt64LE(40));
  const sections = Array.from({ length: elf.readUInt16LE(60) }, (_, index) => {
    const header = table + index * SECTION_HEADER;
    const field = (offset: number): number => Number(elf.readBigUInt64LE(header + offset));
    return {
      name: elf.readUInt32LE(header),
      type: elf.readUInt32LE(header + 4),
      data: elf.subarray(field(24), field(24) + field(32)),
      link: elf.readUInt32LE(header + 40),
    };
  });
  const text = (strings: Buffer, offset: number): string =>
    strings.toString('latin1', offset, strings.indexOf(0, offset));
  const names = sections[elf.readUInt16LE(62)]!.data;
  const code = sections.find(({ name }) => text(names, name) === '.text')!;
  const symtab = sections.find(({ type }) => type === SYMTAB)!;
  const symbols = new Map<string, number>();
  for (let at = 0; at < symtab.data.length; at += SYMBOL) {
    const name = text(sections[symtab.link]!.data, symtab.data.readUInt32LE(at));
    if (name) symbols.set(name, Number(symtab.data.readBigUInt64LE(at + 8)));
  }
  return { bytes: new Uint8Array(code.data), symbols };
}
