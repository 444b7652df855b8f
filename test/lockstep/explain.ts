/** Where in a slice two machines part: the shortest slice after which they differ, and what was executed last. */
import * as iced from 'iced-x86';
import * as L from '../../emulator/cpu/layout.ts';
import { createMachines } from './machines.ts';
import type { LockStepMachine } from './machines.ts';
import { runScenario } from './scenario.ts';
import type { Outcome } from './scenario.ts';

const LINES = 12;

function instructionsAt({ context }: LockStepMachine, gva: bigint, count: number): string[] {
  const bytes = new Uint8Array(count * 15);
  for (let i = 0; i < bytes.length; i++) {
    const hpa = context.mmu.peek(gva + BigInt(i));
    if (hpa >= 0) bytes[i] = context.mem.bytes[L.RAM_BASE + hpa]!;
  }
  const decoder = new iced.Decoder(64, bytes, iced.DecoderOptions.None);
  decoder.ip = gva;
  const formatter = new iced.Formatter(iced.FormatterSyntax.Intel);
  return Array.from({ length: count }, () => {
    const insn = decoder.decode();
    const text = `  ${insn.ip.toString(16)} ${formatter.format(insn)}`;
    insn.free();
    return text;
  });
}

/** Runs the scenario alone, with the slice that differs shorter and shorter. */
export function assemblyAt(seed: number, { slice, length }: Outcome): string {
  const differs = (instructions: number): Outcome | undefined => {
    const outcome = runScenario(createMachines(), seed, { slice: slice!, length: instructions });
    return outcome.mismatch === undefined ? undefined : outcome;
  };
  let found = differs(length!);
  if (!found) return '  (not when run alone)';
  let [low, high] = [0, length!];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    const outcome = differs(middle);
    if (outcome) [high, found] = [middle, outcome];
    else low = middle;
  }
  const machines = createMachines();
  runScenario(machines, seed, { slice: slice!, length: Math.max(1, high - 1) });
  const { rip } = machines[0].context.cpu;
  return [
    `  after ${high} instructions of slice ${found.slice}: ${found.mismatch}`,
    ...instructionsAt(machines[0], rip, LINES),
  ].join('\n');
}
