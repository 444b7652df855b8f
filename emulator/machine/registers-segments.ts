/** Segment registers with their hidden parts, and the table registers. */
import * as L from '../cpu/layout.ts';
import { Segment } from '../cpu/state.ts';
import type { CpuContext } from '../cpu/context.ts';
import { GuestFault } from '../cpu/system/fault.ts';
import { isCanonicalBase } from '../cpu/system/memory.ts';
import { loadSegment } from '../cpu/system/segments.ts';
import { updateDerived } from '../cpu/system/descriptors.ts';
import { BITS, describeBits, segmentTypeInWords } from '../describe/bits.ts';
import type { RegisterPart } from './api.ts';
import { hex, stored } from './register-row.ts';
import type { RegisterRow } from './register-row.ts';

const SEGMENTS: readonly (readonly [name: string, index: Segment])[] = [
  ['cs', Segment.CS],
  ['ss', Segment.SS],
  ['ds', Segment.DS],
  ['es', Segment.ES],
  ['fs', Segment.FS],
  ['gs', Segment.GS],
  ['ldtr', Segment.LDTR],
  ['tr', Segment.TR],
];
const LISTED_BASES = new Set(['fs', 'gs']);

function requireCanonicalBase(context: CpuContext, name: string, value: bigint): void {
  if (isCanonicalBase(context, value)) return;
  const top = context.model.features.has('la57') ? 56 : 47;
  throw new Error(`${name} cannot be ${hex(value)}: bits 63 to ${top} must be equal.`);
}

function partsOf(context: CpuContext, index: Segment): RegisterPart[] {
  const { selector, base, limit, rights } = context.cpu.segment(index);
  return [
    ...describeBits(BITS.selector, BigInt(selector)),
    { name: 'base', value: base, meaning: 'linear address of offset 0' },
    { name: 'limit', value: BigInt(limit), meaning: 'last valid offset' },
    { name: 'rights', value: BigInt(rights), meaning: segmentTypeInWords(rights) },
    ...describeBits(BITS.segmentRights, BigInt(rights)).map(({ name, value, meaning }) => ({ name, value, meaning })),
  ];
}

/** As MOV to the register would, with all its checks; CS, LDTR and TR change only through their parts. */
function writeSelector(context: CpuContext, name: string, index: Segment, value: bigint): void {
  try {
    loadSegment(context, index, Number(value));
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
    const because = error.fault.kind === 'exception' ? error.fault.because : undefined;
    throw new Error(`${name} cannot be ${hex(value)}: ${because ?? 'its descriptor cannot be read'}.`);
  }
}

function segmentRows([name, index]: (typeof SEGMENTS)[number]): RegisterRow[] {
  const at = L.SEG + index * L.SEG_STRIDE;
  const data = index !== Segment.CS && index < Segment.LDTR;
  const selector: RegisterRow = {
    name,
    group: 'segment',
    bits: 16,
    read: ({ mem }) => BigInt(mem.get16(at + L.SEG_SELECTOR)),
    ...(data ? { write: (context: CpuContext, value: bigint) => writeSelector(context, name, index, value) } : {}),
    parts: (_value, context) => partsOf(context, index),
    text: (_value, context) => segmentTypeInWords(context.cpu.segment(index).rights),
  };
  const base = stored(`${name}_base`, 'segment', 64, at + L.SEG_BASE, {
    hidden: !LISTED_BASES.has(name),
    write: (context, value) => {
      requireCanonicalBase(context, `${name}_base`, value);
      context.mem.set64(at + L.SEG_BASE, value);
    },
  });
  const rights = stored(`${name}_rights`, 'segment', 32, at + L.SEG_RIGHTS, {
    hidden: true,
    write: (context, value) => {
      context.mem.set32(at + L.SEG_RIGHTS, Number(value));
      updateDerived(context);
    },
    parts: (value) => describeBits(BITS.segmentRights, value),
    text: (value) => segmentTypeInWords(Number(value)),
  });
  return [selector, base, stored(`${name}_limit`, 'segment', 32, at + L.SEG_LIMIT, { hidden: true }), rights];
}

function tableRows(name: string, base: number, limit: number): RegisterRow[] {
  const write = (context: CpuContext, value: bigint): void => {
    requireCanonicalBase(context, `${name}_base`, value);
    context.mem.set64(base, value);
  };
  const limitWrite = (context: CpuContext, value: bigint): void => context.mem.set32(limit, Number(value));
  return [
    stored(`${name}_base`, 'segment', 64, base, { write }),
    {
      name: `${name}_limit`,
      group: 'segment',
      bits: 16,
      read: ({ mem }) => BigInt(mem.get32(limit)),
      write: limitWrite,
    },
  ];
}

export const segmentRegisterRows: readonly RegisterRow[] = [
  ...SEGMENTS.flatMap(segmentRows),
  ...tableRows('gdtr', L.GDTR_BASE, L.GDTR_LIMIT),
  ...tableRows('idtr', L.IDTR_BASE, L.IDTR_LIMIT),
];
