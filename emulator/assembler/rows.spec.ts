/** Every row of the instruction table, with operands of all kinds, against GNU as: the same bytes. */
import assert from 'node:assert/strict';
import { decode } from '../cpu/decode.ts';
import { Assembler } from './assembler.ts';
import { GnuAs, hasGnuAs } from './gnu-test-support.ts';
import { mnemonics } from './mnemonics.ts';
import type { Candidate } from './mnemonics.ts';
import type { CodeBits } from './model.ts';
import { randomLines } from './random-lines-test-support.ts';

/** Names that GNU as 2.40 does not know or gives to fewer forms, which is no harm. */
const WE_KNOW_MORE = true;

describe('assembler: rows of the instruction table', function () {
  this.timeout(120_000);
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));

  for (const bits of [64, 32, 16] as const)
    it(`encodes ${bits}-bit code as GNU as does (SEED=${seed})`, function () {
      if (!hasGnuAs) this.skip();
      const gnu = new GnuAs();
      const lines = randomLines(seed, mnemonics('att', bits), bits);
      const theirs = gnu.lines([`.code${bits}`, ...lines]).slice(1);
      gnu.dispose();
      const different: string[] = [];
      lines.forEach((line, index) => {
        const want = theirs[index]!;
        const ours = bytesOf(line, bits);
        if ('refused' in want) {
          if (ours.bytes !== undefined && !WE_KNOW_MORE) different.push(`${line}: refused by GNU as (${want.refused})`);
        } else if (ours.bytes === undefined) different.push(`${line}: ${want.bytes} wanted, ${ours.message}`);
        else if (ours.bytes !== want.bytes && !isExplained(line))
          different.push(`${line}: ${want.bytes} wanted, got ${ours.bytes}`);
      });
      assert.deepEqual(different.slice(0, 60), []);
      assert.ok(lines.length > 6000, `${lines.length} lines`);
    });

  for (const bits of [64, 32, 16] as const)
    it(`decodes to the row it was encoded by, ${bits}-bit code (SEED=${seed})`, () => {
      const wrong: string[] = [];
      for (const line of randomLines(seed + 1, mnemonics('att', bits), bits)) {
        const assembler = new Assembler();
        assembler.bits = bits;
        let candidate: Candidate['row'] | undefined;
        let bytes: number[] = [];
        assembler.onInstruction = ({ selected }) => {
          if (!selected.choice.prefixes.includes(FWAIT)) candidate = selected.choice.row;
          bytes = selected.encoded.bytes;
        };
        assembler.assemble('line.s', line);
        if (!candidate || candidate.feature !== undefined) continue;
        const decoded = decode(Uint8Array.from(bytes), 0, 0n, bits === 64 ? 2 : bits === 32 ? 1 : 0);
        if (!decoded) wrong.push(`${line}: ${Buffer.from(bytes).toString('hex')} does not decode`);
        else if (decoded.length !== bytes.length)
          wrong.push(`${line}: ${bytes.length} bytes, decoded ${decoded.length}`);
        else if (decoded.op !== candidate.op && !SAME.has(`${candidate.op} ${decoded.op}`))
          wrong.push(`${line}: decodes to ${decoded.op}`);
      }
      assert.deepEqual(wrong.slice(0, 60), []);
    });
});

/** XCHG RAX, RAX is 90 there and 48 90 here: the same no-operation. */
function isExplained(line: string): boolean {
  return /^xchgq? %rax, %rax$/.test(line);
}

/** FSTENV and its like are two instructions. */
const FWAIT = 0x9b;

/** What the decoder takes for something simpler. */
const SAME = new Set(
  [
    ...['prefetchnta', 'prefetcht0', 'prefetcht1', 'prefetcht2', 'prefetch', 'prefetchw', 'endbr64', 'endbr32'].map((op) => `${op} nop`),
    ...['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'sar', 'shld', 'shrd'].map((op) => `${op} shift_by_zero`),
    // AT&T syntax has these names the other way round.
    ...['fsub fsubr', 'fsubp fsubrp', 'fdiv fdivr', 'fdivp fdivrp'].flatMap((names) => [names, names.split(' ').reverse().join(' ')]),
    'xchg nop',
  ], // prettier-ignore
);

function bytesOf(line: string, bits: CodeBits): { bytes?: string; message?: string } {
  const assembler = new Assembler();
  assembler.bits = bits;
  let bytes = '';
  assembler.onInstruction = ({ selected }) => {
    bytes += Buffer.from(selected.encoded.bytes).toString('hex').toUpperCase();
  };
  assembler.assemble('line.s', line);
  const error = assembler.diagnostics.find(({ severity }) => severity === 'error');
  return error ? { message: error.message } : { bytes };
}
