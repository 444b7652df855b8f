/** For specs and the fuzzer: blocks that the core builds from templates beside those that the decoder and the record writer make, over random instructions. */
import { decode } from './decode.ts';
import { decodeTableOf } from './decode-table.ts';
import { createTestEngine } from './engine-test-support.ts';
import type { TestEngine } from './engine-test-support.ts';
import { AVX_ENABLED } from './fpu-traps.ts';
import * as L from './layout.ts';
import { EVERYTHING } from './system/model-test-support.ts';

const MODE_64 = 2;
const PAGE = 4096;
/** Where blocks are built: an address equal to its HPA. */
const CODE = 0x10_0000;
const RET = 0xc3;
const TABLE = decodeTableOf(EVERYTHING);
const LEGACY_PREFIXES = [0x66, 0x66, 0xf2, 0xf3, 0xf0, 0x2e, 0x3e, 0x64, 0x65, 0x67];
/** What flags and fused pairs are about. */
const ARITHMETIC = [
  0x01, 0x03, 0x21, 0x29, 0x31, 0x39, 0x3b, 0x83, 0x81, 0x85, 0xa9, 0xc1, 0xd1, 0xd3, 0xff, 0xf7, 0x8d, 0x3c, 0x04,
];

type Random = (below: number) => number;

function randomBytes(random: Random): number[] {
  const bytes: number[] = [];
  for (let prefixes = random(4) === 0 ? 1 + random(2) : 0; prefixes > 0; prefixes--)
    bytes.push(LEGACY_PREFIXES[random(LEGACY_PREFIXES.length)]!);
  if (random(2)) bytes.push(0x40 + random(16));
  switch (random(8)) {
    case 0:
    case 1:
      bytes.push(0x0f, random(256));
      break;
    case 2:
      bytes.push(0x0f, random(2) ? 0x38 : 0x3a, random(256));
      break;
    case 3:
      bytes.splice(0, bytes.length, 0xc4, (random(8) << 5) | (1 + random(3)), random(256), random(256));
      break;
    case 4:
      bytes.splice(0, bytes.length, 0xc5, random(256), random(256));
      break;
    case 5:
      bytes.push(ARITHMETIC[random(ARITHMETIC.length)]!);
      break;
    default:
      bytes.push(random(256));
  }
  for (let more = 10; more > 0; more--) bytes.push(random(8) === 0 ? 0 : random(256));
  return bytes;
}
/** A random instruction that exists. */
function randomInstruction(random: Random): number[] {
  for (;;) {
    const bytes = randomBytes(random);
    const insn = decode(new Uint8Array(bytes), 0, BigInt(CODE), MODE_64, TABLE);
    if (insn) return bytes.slice(0, insn.length);
  }
}

/** Everything that building a block wrote. */
function built(t: TestEngine, pfn: number): string {
  const { mem } = t.engine;
  const end = mem.get32(L.CODE_NEXT);
  const parts: [number, number][] = [
    [L.RECORDS, end - L.RECORDS],
    [L.RECORD_LENGTHS, (end - L.RECORDS) / L.RECORD_UNIT],
    [mem.get32(L.CODE_STUBS), L.RECORDS_END - mem.get32(L.CODE_STUBS)],
    [L.BLOCKS, L.BLOCK_SIZE],
    [L.CODE_BITMAP + pfn * 8, 8],
  ];
  return parts.map(([at, bytes]) => mem.bytes.subarray(at, at + bytes).join()).join('\n');
}

export interface TemplateComparison {
  /** Blocks that were built both ways. */
  readonly compared: number;
  /** The code of those that differ. */
  readonly differences: readonly string[];
}

export function compareTemplates(cases: number, seed: number): TemplateComparison {
  const t = createTestEngine();
  const { blocks, core, mem } = t.engine;
  let state = seed >>> 0;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const differences: string[] = [];
  let compared = 0;
  blocks.countdown = 1000;
  for (let index = 0; index < cases; index++) {
    const code: number[] = [];
    for (let count = 1 + random(4); count > 0; count--) code.push(...randomInstruction(random));
    if (random(2)) code.push(0x70 + random(16), random(256));
    code.push(RET);
    const page = CODE + random(8) * PAGE;
    const gva = page + (random(8) === 0 ? PAGE - 1 - random(60) : random(PAGE - 80));
    const pfn = page / PAGE;
    const context = random(8) === 0 ? MODE_64 : MODE_64 | AVX_ENABLED;
    mem.bytes.set(code, L.RAM_BASE + gva);
    blocks.flush();
    const quick = core.buildBlock(BigInt(gva), L.RAM_BASE + gva, pfn, context) >= 0;
    const own = built(t, pfn);
    blocks.flush();
    blocks.quick = !quick;
    blocks.at(gva, context, false);
    if (!quick) continue;
    compared++;
    if (built(t, pfn) !== own)
      differences.push(
        `${code.map((byte) => byte.toString(16).padStart(2, '0')).join(' ')} at ${gva.toString(16)}, context ${context}`,
      );
  }
  return { compared, differences };
}
