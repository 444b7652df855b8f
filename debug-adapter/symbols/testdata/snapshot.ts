/** The dump that values.c writes of itself, as a thread a debugger may look at. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FrameScope } from '../../expressions/scope.ts';
import { DwarfRegister, registerNumber } from '../dwarf/registers.ts';
import { frameRegisters } from '../dwarf/unwind.ts';
import type { ProgramSymbols } from '../index.ts';
import { StackFrame, type TargetAccess } from '../stack-frame.ts';
import { outputDirectory, run } from './build.ts';

/** What the program says a debugger must show: frame, expression, text. */
export interface Expectation {
  readonly frame: string;
  readonly expression: string;
  readonly text: string;
}

export class Snapshot implements TargetAccess {
  readonly expectations: readonly Expectation[];
  readonly registers: bigint[] = [];
  readonly #areas: { start: bigint; bytes: Uint8Array }[] = [];

  constructor(program: string) {
    const path = join(outputDirectory(), 'snapshot');
    const output = run(program, [path]);
    this.expectations = output
      .split('\n')
      .filter(Boolean)
      .map((line) => {
        const [frame, expression, ...text] = line.split('|');
        return { frame: frame!, expression: expression!, text: text.join('|') };
      });
    const dump = new Uint8Array(readFileSync(path));
    const view = new DataView(dump.buffer);
    for (let index = 0; index < 18; index++) this.registers.push(view.getBigUint64(index * 8, true));
    for (let at = 18 * 8; at < dump.length;) {
      const length = Number(view.getBigUint64(at + 8, true));
      this.#areas.push({ start: view.getBigUint64(at, true), bytes: dump.subarray(at + 16, at + 16 + length) });
      at += 16 + length;
    }
  }

  #find(gva: bigint): { bytes: Uint8Array; offset: number } | undefined {
    const area = this.#areas.find(({ start, bytes }) => gva >= start && gva < start + BigInt(bytes.length));
    return area && { bytes: area.bytes, offset: Number(gva - area.start) };
  }
  readMemory(gva: bigint, bytes: number): Uint8Array {
    const found = this.#find(gva);
    return found ? found.bytes.slice(found.offset, found.offset + bytes) : new Uint8Array(0);
  }
  writeMemory(gva: bigint, data: Uint8Array): boolean {
    const found = this.#find(gva);
    found?.bytes.set(data, found.offset);
    return found !== undefined;
  }
  readRegister(name: string): bigint | undefined {
    if (name === 'fs_base') return this.registers[17];
    const number = registerNumber(name);
    return number === undefined || number > DwarfRegister.ReturnAddress ? undefined : this.registers[number];
  }
  writeRegister(name: string, value: bigint): void {
    this.registers[registerNumber(name)!] = value;
  }

  /** Every frame from `snapshot` outwards, inlined ones included, innermost first. */
  scopes(symbols: ProgramSymbols): { name: string; scope: FrameScope }[] {
    const scopes: { name: string; scope: FrameScope }[] = [];
    let frame: StackFrame | undefined = new StackFrame(
      symbols,
      this,
      frameRegisters(this.registers.slice(0, 17)),
      true,
    );
    for (let depth = 0; frame && depth < 32; depth++) {
      const chain = symbols.inlineChain(frame.lookupPc);
      for (const instance of chain) scopes.push({ name: instance.name, scope: new FrameScope(frame, instance) });
      if (chain.length === 0)
        scopes.push({ name: symbols.symbolAt(frame.lookupPc)?.name ?? '?', scope: new FrameScope(frame, undefined) });
      frame = frame.caller();
    }
    return scopes;
  }
}
