/**
 * Which SSE instructions have VEX forms, and what these are like (SDM 2, each instruction's opcode table). Rows (avx.ts) and meanings (semantics/avx.ts) are
 * made from this and from the SSE instruction's own.
 */

export interface VexFamily {
  /** SSE instructions by `op`. The VEX form is called `v<op>`. */
  readonly ops: readonly string[];
  /** Has a source of its own besides the destination: d, s becomes d, v, s. Stores never have. */
  readonly three?: boolean;
  /** VEX.L: both widths, 128 bits alone, or ignored (scalars). */
  readonly widths: 'both' | '128' | 'ignored';
  /** CPUID feature of VEX.256. */
  readonly wideFeature?: 'avx' | 'avx2';
  /** Operands of VEX.256 where they are not those of VEX.128 made wider. */
  readonly wideOperands?: string;
  // How the meaning is made from that of the SSE form: VexOptions in semantics/vex.ts.
  readonly floats?: boolean;
  readonly aligned?: boolean;
  readonly source?: 8 | 4 | 2 | 'same';
  readonly narrows?: boolean;
  readonly highImmediate?: number;
}

const words = (text: string): string[] => text.split(' ');
/** Every name with every ending. */
const names = (stems: string, endings: string): string[] =>
  words(stems).flatMap((stem) => words(endings).map((ending) => stem + ending));

const AVX = { widths: 'both', wideFeature: 'avx' } as const;
const AVX2 = { widths: 'both', wideFeature: 'avx2' } as const;
const NARROW = { widths: '128' } as const;
const SCALAR = { widths: 'ignored' } as const;
const three = true;
const floats = true;

export const VEX_OF_SSE: readonly VexFamily[] = [
  // Moves.
  { ops: words('movaps movapd movdqa movntps movntpd movntdq'), ...AVX, aligned: true },
  { ops: words('movntdqa'), ...AVX2, aligned: true },
  { ops: words('movups movupd movdqu lddqu movsldup movshdup'), ...AVX },
  { ops: words('movddup'), ...AVX, wideOperands: 'Vqq Wqq' },
  { ops: words('movlps movlpd movhps movhpd movhlps movlhps'), ...NARROW, three },
  { ops: words('movd_to_xmm movd_from_xmm movq maskmovdqu ldmxcsr stmxcsr'), ...NARROW },

  // Floating point.
  { ops: names('add sub mul div min max addsub hadd hsub', 'ps pd'), ...AVX, three, floats },
  { ops: words('cmpps cmppd dpps'), ...AVX, three, floats },
  { ops: words('dppd'), ...NARROW, three },
  { ops: [...names('and andn or xor unpckl unpckh', 'ps pd'), 'shufps'], ...AVX, three },
  { ops: words('shufpd blendpd'), ...AVX, three, highImmediate: 2 },
  { ops: words('blendps'), ...AVX, three, highImmediate: 4 },
  { ops: names('sqrt round', 'ps pd'), ...AVX, floats },
  { ops: words('rcpps rsqrtps'), ...AVX },
  { ops: names('add sub mul div min max sqrt cmp round', 'ss sd'), ...SCALAR, three },
  { ops: words('rcpss rsqrtss cvtss2sd cvtsd2ss cvtsi2ss cvtsi2sd'), ...SCALAR, three },
  { ops: words('ucomiss ucomisd comiss comisd'), ...SCALAR },
  { ops: words('cvtss2si cvtsd2si cvttss2si cvttsd2si'), ...SCALAR },
  { ops: words('cvtdq2ps cvtps2dq cvttps2dq'), ...AVX, floats },
  { ops: words('cvtps2pd cvtdq2pd'), ...AVX, floats, wideOperands: 'Vqq Wx', source: 8 },
  { ops: words('cvtpd2ps cvtpd2dq cvttpd2dq'), ...AVX, floats, wideOperands: 'Vx Wqq', narrows: true },
  { ops: words('insertps'), ...NARROW, three },
  { ops: words('extractps'), ...NARROW },

  // Integers.
  { ops: words('packsswb packssdw packuswb packusdw'), ...AVX2, three },
  { ops: names('punpckl punpckh', 'bw wd dq qdq'), ...AVX2, three },
  { ops: names('pcmpeq pcmpgt padd psub', 'b w d q'), ...AVX2, three },
  { ops: words('paddsb paddsw paddusb paddusw psubsb psubsw psubusb psubusw pavgb pavgw'), ...AVX2, three },
  { ops: names('pmins pmaxs pminu pmaxu', 'b w d'), ...AVX2, three },
  { ops: words('pand pandn por pxor psadbw pmaddwd pmaddubsw pmulhrsw'), ...AVX2, three },
  { ops: words('pmullw pmulhw pmulhuw pmulld pmuludq pmuldq'), ...AVX2, three },
  { ops: words('pshufb psignb psignw psignd phaddw phaddd phaddsw phsubw phsubd phsubsw'), ...AVX2, three },
  { ops: words('palignr pblendw'), ...AVX2, three },
  { ops: words('mpsadbw'), ...AVX2, three, highImmediate: 3 },
  { ops: words('pabsb pabsw pabsd pshufd pshufhw pshuflw'), ...AVX2 },
  { ops: words('psrldq pslldq'), ...AVX2, three },
  {
    ops: words('psrlw psrld psrlq psraw psrad psllw pslld psllq'),
    ...AVX2,
    three,
    wideOperands: 'Vqq Hqq Wx',
    source: 'same',
  },
  { ops: names('pmovsx pmovzx', 'bw wd dq'), ...AVX2, wideOperands: 'Vqq Wx', source: 8 },
  { ops: names('pmovsx pmovzx', 'bd wq'), ...AVX2, wideOperands: 'Vqq Wsd', source: 4 },
  { ops: names('pmovsx pmovzx', 'bq'), ...AVX2, wideOperands: 'Vqq Wss', source: 2 },
  { ops: words('phminposuw aesimc aeskeygenassist'), ...NARROW },
  { ops: words('pcmpestrm pcmpestri pcmpistrm pcmpistri'), ...NARROW },
  { ops: words('pextrb pextrw pextrw_to pextrd'), ...NARROW },
  { ops: words('pinsrb pinsrw pinsrd'), ...NARROW, three },
  { ops: words('aesenc aesenclast aesdec aesdeclast pclmulqdq'), ...NARROW, three },
];
