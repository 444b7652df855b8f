import assert from 'node:assert/strict';
import { availableVariants, build, run, symbolsOf } from '../testdata/build.ts';
import { functionsOf } from './functions.ts';
import { RowFlag } from './line-program.ts';

/** Rows as `readelf --debug-dump=decodedline` prints them: line, address, is_stmt, end of sequence. */
function readelfRows(path: string): string[] {
  const rows: string[] = [];
  for (const line of run('readelf', ['-W', '--debug-dump=decodedline', path]).split('\n')) {
    const found = /^\S+\s+(\d+|-)\s+(0x[0-9a-f]+|0)(?:\s+\d+)?(?:\[\d+\])?\s*(x)?\s*(END)?\s*$/.exec(line);
    if (!found) continue;
    const end = found[1] === '-' || found[4] === 'END';
    rows.push(`${end ? '-' : found[1]} ${Number(found[2])} ${end ? '' : (found[3] ?? '')}`);
  }
  return rows;
}

describe('line programs', () => {
  for (const { compiler, flags } of availableVariants()) {
    it(`agree with readelf: ${compiler} ${flags.join(' ')}`, () => {
      const path = build(compiler, ['inline.c'], flags);
      const ours: string[] = [];
      for (const unit of symbolsOf(path).dwarf.units) {
        const rows = unit.lines!.rows;
        for (let row = 0; row < rows.length; row++) {
          const end = (rows.flags[row]! & RowFlag.EndSequence) !== 0;
          ours.push(`${end ? '-' : rows.line[row]} ${rows.address[row]} ${!end && rows.isStmt(row) ? 'x' : ''}`);
        }
      }
      const theirs = readelfRows(path);
      assert.ok(theirs.length > 30);
      assert.deepEqual(ours, theirs);
    });

    it(`agree with addr2line -fi: ${compiler} ${flags.join(' ')}`, () => {
      const path = build(compiler, ['inline.c'], flags);
      const symbols = symbolsOf(path);
      const addresses: number[] = [];
      for (const unit of symbols.dwarf.units)
        for (const { ranges } of functionsOf(unit))
          for (const { low, high } of ranges)
            for (let address = low; address < high; address += 3) addresses.push(address);
      const input = addresses.map((address) => address.toString(16)).join('\n');
      const theirs = run('addr2line', ['-f', '-i', '-a', '-e', path], input).split(/^0x/m).slice(1);
      theirs.forEach((block, index) => {
        const [, ...lines] = block.trim().split('\n');
        if (lines[1]!.endsWith(':?')) return; // code of no line
        assert.deepEqual(
          chain(symbols, BigInt(addresses[index]!)),
          pairs(lines),
          `at 0x${addresses[index]!.toString(16)}`,
        );
      });
    });
  }
});

/** Function names innermost first, and where each of the outer ones calls the next. */
function chain(symbols: ReturnType<typeof symbolsOf>, gva: bigint): string[] {
  const instances = symbols.inlineChain(gva);
  return instances.map(({ name }, index) => {
    if (index > 0) return `${name} ${instances[index - 1]!.callFile}:${instances[index - 1]!.callLine}`;
    const position = symbols.addressToSource(gva);
    return `${name} ${position?.path}`;
  });
}
function pairs(lines: readonly string[]): string[] {
  const out: string[] = [];
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const place = lines[index + 1]!.replace(/ \(discriminator \d+\)$/, '');
    // The innermost line depends on which of several rows at one address is preferred; the file does not.
    out.push(`${lines[index]} ${index === 0 ? place.replace(/:[\d?]+$/, '') : place}`);
  }
  return out;
}
