/** SSE4.1 and SSE4.2 (SDM 1 5.10, 5.11). POPCNT is in bmi.ts. */
import { ALL, row } from './build.ts';
import type { OpcodeRow } from './row.ts';

const SSE41 = { prefix: '66', sizes: [16], feature: 'sse4_1' } as const;
/** 4 or 8 bytes by REX.W: PEXTRD and PEXTRQ. */
const BY_REX_W = { ...SSE41, sizes: [4, 8] };
const SSE42 = { prefix: '66', sizes: [16], feature: 'sse4_2' } as const;

/** Two vectors, 0F 38. */
const packed: readonly (readonly [opcode: string, op: string])[] = [
  ['28', 'pmuldq'],
  ['29', 'pcmpeqq'],
  ['2B', 'packusdw'],
  ['38', 'pminsb'],
  ['39', 'pminsd'],
  ['3A', 'pminuw'],
  ['3B', 'pminud'],
  ['3C', 'pmaxsb'],
  ['3D', 'pmaxsd'],
  ['3E', 'pmaxuw'],
  ['3F', 'pmaxud'],
  ['40', 'pmulld'],
  ['41', 'phminposuw'],
];

/** Extensions: opcode of the signed one, name's end, bytes of the source. */
const extensions: readonly (readonly [opcode: number, suffix: string, bytes: 2 | 4 | 8])[] = [
  [0x20, 'bw', 8],
  [0x21, 'bd', 4],
  [0x22, 'bq', 2],
  [0x23, 'wd', 8],
  [0x24, 'wq', 4],
  [0x25, 'dq', 8],
];

export const sse41: readonly OpcodeRow[] = [
  ...packed.map(([opcode, op]) => row(`0F 38 ${opcode} /r`, op, 'Vx Wx', SSE41)),
  ...extensions.flatMap(([opcode, suffix, bytes]) => [
    row(`0F 38 ${opcode.toString(16)} /r`, `pmovsx${suffix}`, 'Vx Wsd', { ...SSE41, sizes: [bytes] }),
    row(`0F 38 ${(opcode + 0x10).toString(16)} /r`, `pmovzx${suffix}`, 'Vx Wsd', { ...SSE41, sizes: [bytes] }),
  ]),
  row('0F 38 10 /r', 'pblendvb', 'Vx Wx xmm0', SSE41),
  row('0F 38 14 /r', 'blendvps', 'Vx Wx xmm0', SSE41),
  row('0F 38 15 /r', 'blendvpd', 'Vx Wx xmm0', SSE41),
  row('0F 38 17 /r', 'ptest', 'Vx Wx', { ...SSE41, writes: ALL }),
  row('0F 38 2A /r', 'movntdqa', 'Vx Mdq', SSE41),
  row('0F 3A 08 /r', 'roundps', 'Vx Wx Ib', SSE41),
  row('0F 3A 09 /r', 'roundpd', 'Vx Wx Ib', SSE41),
  row('0F 3A 0A /r', 'roundss', 'Vx Wss Ib', { ...SSE41, sizes: [4] }),
  row('0F 3A 0B /r', 'roundsd', 'Vx Wsd Ib', { ...SSE41, sizes: [8] }),
  row('0F 3A 0C /r', 'blendps', 'Vx Wx Ib', SSE41),
  row('0F 3A 0D /r', 'blendpd', 'Vx Wx Ib', SSE41),
  row('0F 3A 0E /r', 'pblendw', 'Vx Wx Ib', SSE41),
  row('0F 3A 14 /r', 'pextrb', 'Ed Vx Ib', { ...SSE41, sizes: [4] }),
  row('0F 3A 15 /r', 'pextrw_to', 'Ed Vx Ib', { ...SSE41, sizes: [4], mnemonic: 'pextrw' }),
  row('0F 3A 16 /r', 'pextrd', 'Ey Vx Ib', BY_REX_W),
  row('0F 3A 17 /r', 'extractps', 'Ed Vx Ib', { ...SSE41, sizes: [4] }),
  row('0F 3A 20 /r', 'pinsrb', 'Vx Ed Ib', { ...SSE41, sizes: [4] }),
  row('0F 3A 21 /r', 'insertps', 'Vx Wss Ib', { ...SSE41, sizes: [4] }),
  row('0F 3A 22 /r', 'pinsrd', 'Vx Ey Ib', BY_REX_W),
  row('0F 3A 40 /r', 'dpps', 'Vx Wx Ib', SSE41),
  row('0F 3A 41 /r', 'dppd', 'Vx Wx Ib', SSE41),
  row('0F 3A 42 /r', 'mpsadbw', 'Vx Wx Ib', SSE41),
];

/** String compares take their lengths from EAX and EDX, or RAX and RDX with REX.W. */
const EXPLICIT = { ...SSE42, sizes: [4, 8], writes: ALL };
const IMPLICIT = { ...SSE42, writes: ALL };
const CRC = { prefix: 'F2', feature: 'sse4_2' } as const;

export const sse42: readonly OpcodeRow[] = [
  row('0F 38 37 /r', 'pcmpgtq', 'Vx Wx', SSE42),
  row('0F 3A 60 /r', 'pcmpestrm', 'Vx Wx Ib', EXPLICIT),
  row('0F 3A 61 /r', 'pcmpestri', 'Vx Wx Ib', EXPLICIT),
  row('0F 3A 62 /r', 'pcmpistrm', 'Vx Wx Ib', IMPLICIT),
  row('0F 3A 63 /r', 'pcmpistri', 'Vx Wx Ib', IMPLICIT),
  row('0F 38 F0 /r', 'crc32b', 'Gd Eb', { ...CRC, mnemonic: 'crc32', sizes: [1] }),
  row('0F 38 F1 /r', 'crc32', 'Gd Ev', CRC),
];
