/**
 * Which general registers hold 32 bits on entry to each block of a region, with zeros above: a set is a mask of register numbers. Then a move of 32
 * bits copies the whole register, which costs nothing.
 *
 * Forward data flow over the graph. What an instruction does is known of the usual ones; any other may leave anything in every register.
 */
import type { DecodedInstruction } from '../decode.ts';
import type { RegionGraph, RegionNode } from './graph.ts';

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));

/** Write their first operand, at operand size, and no other register. */
const WRITE_FIRST = words(
  'mov movzx8 movzx16 movsx8 movsx16 movsxd lea add sub adc sbb and or xor not neg inc dec shl shr sar rol ror shld shrd imul2 imul3 bswap cmovcc ' +
    'setcc popcnt tzcnt lzcnt rorx shlx shrx sarx andn',
);
const WRITE_NONE = words('cmp test bt jcc jmp nop jmp_indirect');
/** Move RSP; the first operand of `pop` is written whole. */
const STACK = words('push pop call ret call_indirect');
/** Vector instructions that write registers they do not name. */
const IMPLICIT = /^v?pcmp[ei]str/;
const VECTORS = words('xmm ymm mmx st');
const RSP = 4;
const ALL = 0xffff;

/** `known & kept | made` is what is known after an instruction or a block. */
interface Transfer {
  kept: number;
  made: number;
}

function transferOf({ op, size, operands }: DecodedInstruction): Transfer {
  if (WRITE_NONE.has(op)) return { kept: ALL, made: 0 };
  const [first] = operands;
  const written = first?.kind === 'gpr' ? 1 << first.register : 0;
  if (STACK.has(op)) return { kept: ALL & ~(1 << RSP) & ~(op === 'pop' ? written : 0), made: 0 };
  if (WRITE_FIRST.has(op)) {
    if (size < 4) return { kept: ALL, made: 0 };
    return { kept: ALL & ~written, made: size === 4 ? written : 0 };
  }
  const isVector = operands.some(({ kind }) => VECTORS.has(kind));
  if (isVector && !IMPLICIT.test(op) && operands.every(({ kind }) => kind !== 'gpr')) return { kept: ALL, made: 0 };
  return { kept: 0, made: 0 };
}

function transferOfBlock({ code }: RegionNode): Transfer {
  const whole = { kept: ALL, made: 0 };
  for (const insn of code.insns) {
    const { kept, made } = transferOf(insn);
    whole.kept &= kept;
    whole.made = (whole.made & kept) | made;
  }
  return whole;
}

/** The sets on entry of the blocks that can be reached. */
export function narrowRegisters({
  entries,
  nodes,
}: Pick<RegionGraph, 'entries' | 'nodes'>): ReadonlyMap<RegionNode, number> {
  const transfers = new Map(nodes.map((node) => [node, transferOfBlock(node)]));
  const known = new Map<RegionNode, number>(entries.map((entry) => [entry, 0]));
  const queue = [...entries];
  for (let node = queue.pop(); node; node = queue.pop()) {
    const { kept, made } = transfers.get(node)!;
    const after = (known.get(node)! & kept) | made;
    for (const { node: target } of node.edges) {
      if (!target) continue;
      const before = known.get(target);
      const now = (before ?? ALL) & after;
      if (now === before) continue;
      known.set(target, now);
      queue.push(target);
    }
  }
  return known;
}
