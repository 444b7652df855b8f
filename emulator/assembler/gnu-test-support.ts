/** GNU as as the oracle of the assembler's tests. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const hasGnuAs = spawnSync('as', ['--version']).status === 0;

/** By name. Relocations as "offset type symbol + addend". */
export type GnuSections = ReadonlyMap<string, { readonly bytes: Uint8Array; readonly relocations: string[] }>;

export class GnuAs {
  readonly #folder = mkdtempSync(join(tmpdir(), 'dune-debug-as-'));

  dispose(): void {
    rmSync(this.#folder, { recursive: true });
  }
  #path(name: string): string {
    return join(this.#folder, name);
  }

  /** What each line is assembled to, in upper-case hex, or the message it is refused with. One instruction a line. */
  lines(lines: readonly string[]): ({ readonly bytes: string } | { readonly refused: string })[] {
    const [source, object] = [this.#path('lines.s'), this.#path('lines.o')];
    writeFileSync(source, `${lines.join('\n')}\n`);
    const first = spawnSync('as', ['-o', object, source], { encoding: 'utf8', maxBuffer: 1 << 30 });
    const refused = new Map<number, string>();
    for (const [, line, message] of first.stderr.matchAll(/lines\.s:(\d+): Error: (.*)/g))
      refused.set(Number(line) - 1, message!);
    writeFileSync(source, `${lines.map((line, index) => (refused.has(index) ? '' : line)).join('\n')}\n`);
    const options = ['-aln', '--listing-lhs-width=8', '--listing-cont-lines=4', '-o', object, source];
    const listing = spawnSync('as', options, { encoding: 'utf8', maxBuffer: 1 << 30 }).stdout;
    const bytes = new Map<number, string>();
    for (const row of listing.split('\n')) {
      const found = /^\s*(\d+) (?:[0-9a-f]{4,8} |\s+)((?:[0-9A-F]{2,8} ?)+)/.exec(row);
      if (!found) continue;
      const index = Number(found[1]) - 1;
      bytes.set(index, (bytes.get(index) ?? '') + found[2]!.replaceAll(' ', ''));
    }
    return lines.map((_, index) => {
      const message = refused.get(index);
      return message === undefined ? { bytes: bytes.get(index) ?? '' } : { refused: message };
    });
  }

  /** Contents and relocations of the sections of an object made of a source. */
  object(source: string, ...options: string[]): GnuSections {
    const [input, output] = [this.#path('source.s'), this.#path('source.o')];
    writeFileSync(input, source, 'latin1');
    execFileSync('as', [...options, '-o', output, input], { stdio: 'pipe' });
    return this.sectionsOf(readFileSync(output));
  }

  /** The same of an object that exists. */
  sectionsOf(image: Uint8Array): GnuSections {
    const object = this.#path('read.o');
    writeFileSync(object, image);
    const run = (...options: string[]): string =>
      execFileSync('readelf', [...options, object], { encoding: 'utf8', maxBuffer: 1 << 30 });
    const sections = new Map<string, { bytes: Uint8Array; relocations: string[] }>();
    for (const [, name, type, offset, size] of run('-SW').matchAll(
      /^\s*\[ *\d+\] (\S+)\s+(\S+)\s+[0-9a-f]+ ([0-9a-f]+) ([0-9a-f]+)/gm,
    )) {
      const at = parseInt(offset!, 16);
      const bytes = type === 'NOBITS' ? new Uint8Array() : image.subarray(at, at + parseInt(size!, 16));
      if (!/^(RELA|SYMTAB|STRTAB|GROUP)$/.test(type!)) sections.set(name!, { bytes, relocations: [] });
    }
    let current: string[] = [];
    for (const row of run('-rW').split('\n')) {
      const section = /section '\.rela(.*)' at/.exec(row)?.[1];
      if (section !== undefined) current = sections.get(section)!.relocations;
      const found = /^([0-9a-f]{16})\s+[0-9a-f]{16}\s+(\S+)\s+(?:[0-9a-f]{16}\s+)?(.*)$/.exec(row);
      if (found) current.push(`${parseInt(found[1]!, 16).toString(16)} ${found[2]} ${found[3]!.trim()}`);
    }
    return sections;
  }
}
