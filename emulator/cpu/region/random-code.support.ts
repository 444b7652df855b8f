/** Random programs for the lock-step specs: a loop over arithmetic, memory, SSE, forward jumps and calls. */

export type Random = (below: number) => number;

/** Small deterministic generator, so that a failing test can be repeated from the printed seed. */
export function generator(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

export const CODE = 0x10000;
/** Where RBX points: what programs read and write lies 128 bytes to both sides of the end of this page. */
export const DATA = 0x101000;
const LOOPS = 15;
const BASE = 3;

/** Destination registers: not the loop counter, the memory base or the stack. */
const FREE = [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
const ARITHMETIC = [0x01, 0x09, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39, 0x85];
const SSE_66 = [0xfe, 0xd4, 0xfa, 0xef, 0xdb, 0xeb, 0x62, 0x76, 0x66, 0xf4, 0x58, 0x59, 0x5c];

/** VFMADD132PD 213SD, VFMADDSUB231PD, VFNMADD213PD, VFMSUB231SD, VFNMSUB132PD. */
const FMA = [0x98, 0xa9, 0xb6, 0xac, 0xbb, 0x9e];

const rex = (wide: boolean, reg: number, rm: number): number =>
  0x40 | (wide ? 8 : 0) | (reg & 8 ? 4 : 0) | (rm & 8 ? 1 : 0);
const direct = (reg: number, rm: number): number => 0xc0 | ((reg & 7) << 3) | (rm & 7);
const word = (value: number): number[] => [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255];

/** `[rbx + displacement]` around the end of the page. */
const memory = (random: Random, reg: number, align = 1): number[] => {
  const displacement = Math.floor((random(224) - 112) / align) * align;
  return [0x40 | ((reg & 7) << 3) | BASE, displacement & 255];
};

/** A two-byte VEX prefix: any width, any second source unless there is none. */
function vex(random: Random, reg: number, prefix: 0 | 0x66 | 0xf2, alone = false): number[] {
  const vvvv = alone ? 0 : random(16);
  const pp = prefix === 0x66 ? 1 : prefix === 0xf2 ? 3 : 0;
  return [0xc5, (reg & 8 ? 0 : 0x80) | ((~vvvv & 15) << 3) | (random(2) << 2) | pp];
}

function instruction(random: Random): number[] {
  const free = (): number => FREE[random(FREE.length)]!;
  const [a, b] = [free(), free()];
  const wide = random(2) === 0;
  const prefix = random(6) === 0 && !wide ? [0x66] : [];
  switch (random(29)) {
    case 0:
    case 1:
    case 2:
      return [...prefix, rex(wide, b, a), ARITHMETIC[random(9)]!, direct(b, a)];
    case 3:
      return [rex(false, b, a), ARITHMETIC[random(9)]! - 1, direct(b, a)];
    case 4:
      return [...prefix, rex(wide, b, BASE), ARITHMETIC[random(8)]! + 2 * random(2), ...memory(random, b)];
    case 5:
      return [rex(wide, 0, a), 0xff, direct(random(2), a)];
    case 6:
      return [rex(wide, 0, a), 0xf7, direct(2 + random(4), a)];
    case 7:
      return [...prefix, rex(wide, 0, a), 0xc1, direct([0, 1, 4, 5, 7][random(5)]!, a), random(40)];
    case 8:
      return [rex(wide, 0, a), 0xd3, direct([0, 1, 2, 3, 4, 5, 7][random(7)]!, a)];
    case 9:
      return [rex(wide, a, b), 0x0f, 0xaf, direct(a, b)];
    case 10:
      return [rex(false, 0, a), 0x0f, 0x90 + random(16), direct(0, a)];
    case 11:
      return [rex(wide, a, b), 0x0f, 0x40 + random(16), direct(a, b)];
    case 12:
      return [rex(wide, a, b), 0x0f, [0xb6, 0xb7, 0xbe, 0xbf][random(4)]!, direct(a, b)];
    case 13:
      return [rex(wide, b, a), 0x0f, [0xa3, 0xab, 0xb3, 0xbb, 0xbc, 0xbd][random(6)]!, direct(b, a)];
    case 14:
      return [rex(wide, b, BASE), 0x89 + 2 * random(2), ...memory(random, b)];
    case 15:
      return [rex(false, b, BASE), 0x88 + 2 * random(2), ...memory(random, b)];
    case 16:
      return [[0xf8], [0xf9], [0xf5], [0x9f], [0x9e]][random(5)]!;
    case 17:
      return [...(a & 8 ? [0x41] : []), 0x50 + (a & 7), ...(b & 8 ? [0x41] : []), 0x58 + (b & 7)];
    case 18:
      return [0x66, rex(false, a, b), 0x0f, SSE_66[random(SSE_66.length)]!, direct(a, b)];
    case 19:
      return [rex(false, a, BASE), 0x0f, 0x10 + random(2), ...memory(random, a)];
    case 20:
      return [0x66, rex(wide, a, b), 0x0f, random(2) ? 0x6e : 0x7e, direct(a, b)];
    case 21:
    case 22:
      return [...vex(random, a, 0x66), SSE_66[random(SSE_66.length)]!, direct(a, b & 7)];
    case 23:
      return [...vex(random, a, 0x66), SSE_66[random(SSE_66.length)]!, ...memory(random, a)];
    case 24:
      return [...vex(random, a, 0, true), 0x10 + random(2), ...memory(random, a)];
    case 25:
      return [...vex(random, a, 0xf2), [0x58, 0x59, 0x5c][random(3)]!, direct(a, b & 7)];
    case 26:
      return [
        0xc4,
        0xe2 ^ (a & 8 ? 0x80 : 0),
        0x81 | (random(16) << 3) | (random(2) << 2),
        FMA[random(6)]!,
        direct(a, b & 7),
      ];
    case 27:
      return [0xc5, 0xf8 | (random(8) === 0 ? 4 : 0), 0x77];
    case 28:
      // VPXOR XMM5, XMM5, XMM5; VPGATHERDD with XMM5 for the index and XMM7 for the mask.
      return [0xc5, 0xd1, 0xef, 0xed, 0xc4, 0xe2, 0x41, 0x90, 0x44 | ((a & 3) << 3), BASE | (5 << 3), 0];
    default:
      return [0xf2, rex(wide, a, b), 0x0f, [0x2a, 0x58, 0x59, 0x10][random(4)]!, direct(a, b)];
  }
}

/** Bytes of a program for CODE; it ends with HLT. */
export function program(random: Random, rounds: number): number[] {
  const bytes = [0x49, 0xc7, 0xc0 | (LOOPS & 7), ...word(rounds)];
  const start = bytes.length;
  const count = 8 + random(24);
  for (let index = 0; index < count; index++) {
    const some = Array.from({ length: 1 + random(4) }, () => instruction(random)).flat();
    const kind = random(5);
    if (kind === 0) bytes.push(0x0f, 0x80 + random(16), ...word(some.length), ...some);
    // CALL of what follows the jump over it.
    else if (kind === 1) bytes.push(0xe8, ...word(5), 0xe9, ...word(some.length + 1), ...some, 0xc3);
    else bytes.push(...some);
  }
  bytes.push(0x49, 0xff, 0xc8 | (LOOPS & 7));
  bytes.push(0x0f, 0x85, ...word(start - bytes.length - 6));
  return [...bytes, 0xf4];
}
