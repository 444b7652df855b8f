/**
 * `dune-debug profile`: runs a program and says which functions its instructions went to. Samples are taken every so many instructions, not by a clock:
 * the same program gives the same profile on every machine.
 */
import { writeFileSync } from 'node:fs';
import { nodeHostFiles } from '../debug-adapter/hosting/node/host-files.ts';
import { Images } from '../debug-adapter/images.ts';
import { registerName } from '../debug-adapter/symbols/dwarf/registers.ts';
import { frameRegisters, type FrameRegisters } from '../debug-adapter/symbols/dwarf/unwind.ts';
import { StackFrame } from '../debug-adapter/symbols/stack-frame.ts';
import type { Machine } from '../emulator/machine/api.ts';
import { integer, parseRunOptions, runHelp, type OptionRow, type RunOptions } from './options.ts';
import { Profile, type Place } from './profile-report.ts';
import type { RunCommand } from './run.ts';

/** A prime, so that loops do not beat with it. */
const INTERVAL = 100_003;
const DEEPEST = 64;
const GENERAL_REGISTERS = 17;
const DOES =
  'Runs a program as "run" does and says, on standard error, which functions its instructions went to: one sample every so many instructions.';

export function profileCommand(): RunCommand {
  let interval = INTERVAL;
  let folded: string | undefined;
  let cpuProfile: string | undefined;
  const rows: OptionRow[] = [
    {
      name: '--interval',
      value: 'N',
      help: `instructions between samples (default ${INTERVAL})`,
      set: (_, v) => (interval = integer('--interval', 1000, 1e9, v)),
    },
    {
      name: '--folded',
      value: 'FILE',
      help: 'write call stacks with their counts, one a line, as flame graph tools read them',
      set: (_, v) => (folded = v),
    },
    {
      name: '--cpuprofile',
      value: 'FILE',
      help: 'write a profile that VS Code opens (.cpuprofile)',
      set: (_, v) => (cpuProfile = v),
    },
  ];
  const profile = new Profile();
  let sampler: Sampler | undefined;
  return {
    parse: (argv) => parseRunOptions(argv, 'profile', rows),
    help: () => runHelp('profile', DOES, rows),
    get slice() {
      return interval;
    },
    look(machine, options) {
      sampler ??= new Sampler(machine, options);
      profile.add(sampler.stack());
    },
    end(machine) {
      process.stderr.write(profile.table(interval, machine.stats()));
      if (folded !== undefined) writeFileSync(folded, profile.folded());
      if (cpuProfile !== undefined) writeFileSync(cpuProfile, profile.cpuProfile(interval));
    },
  };
}

/** Call stacks of the thread that runs. */
class Sampler {
  readonly #images: Images;
  /** By address of the instruction; threads of several processes may differ, so by process too. */
  readonly #places = new Map<string, Place>();

  constructor(
    readonly machine: Machine,
    { program }: RunOptions,
  ) {
    const image = nodeHostFiles.readFile(program) ?? new Uint8Array();
    const complain = (sentence: string): void => console.error(`dune-debug: ${sentence}`);
    this.#images = new Images(machine, nodeHostFiles, { path: program, image }, {}, [], complain);
  }

  /** Innermost first; the outermost says in which mode and ring the innermost is. */
  stack(): Place[] {
    const { machine } = this;
    const thread = machine.currentThread();
    const info = machine.threads().find(({ id }) => id === thread);
    if (!info) return [{ name: '[no thread]' }];
    const places: Place[] = [];
    let frame: StackFrame | undefined = this.#innermost(thread);
    while (frame && places.length < DEEPEST) {
      places.push(this.#place(thread, info.process, frame.lookupPc));
      frame = this.#caller(thread, frame);
    }
    places.push({ name: `[${info.mode === 'dune' ? 'Dune' : 'Linux'} mode, ring ${info.cpl}]` });
    return places;
  }

  #innermost(thread: number): StackFrame {
    const { machine } = this;
    const registers = Array.from({ length: GENERAL_REGISTERS }, (_, number) =>
      machine.readRegister(thread, registerName(number)!),
    );
    return this.#frame(thread, frameRegisters(registers), true);
  }
  #frame(thread: number, registers: FrameRegisters, interrupted: boolean): StackFrame {
    const { machine } = this;
    const symbols = this.#images.at(thread, registers[16]?.value ?? 0n) ?? this.#images.main;
    const target = {
      readMemory: (gva: bigint, bytes: number) => machine.readMemory(thread, 'gva', gva, bytes),
      writeMemory: () => false,
      readRegister: (name: string) => machine.readRegister(thread, name),
      writeRegister: () => {},
    };
    return new StackFrame(symbols, target, registers, interrupted);
  }
  /** By call frame information alone: what else might be a caller is left out. */
  #caller(thread: number, frame: StackFrame): StackFrame | undefined {
    if (!this.#images.at(thread, frame.pc)) return undefined;
    const next = frame.unwind();
    if (!next || next.method !== 'cfi') return undefined;
    const outer = this.#frame(thread, next.registers, next.signal);
    return outer.pc === frame.pc || !this.#images.at(thread, outer.pc) ? undefined : outer;
  }

  #place(thread: number, process: number, pc: bigint): Place {
    const key = `${process} ${pc}`;
    let place = this.#places.get(key);
    if (!place) this.#places.set(key, (place = this.#find(thread, pc)));
    return place;
  }
  #find(thread: number, pc: bigint): Place {
    const symbols = this.#images.at(thread, pc);
    const known = symbols?.functionAt(pc);
    const name = known?.name ?? symbols?.symbolAt(pc)?.name;
    if (symbols === undefined || name === undefined) return { name: '[code without symbols]' };
    const entry = known && symbols.addressToSource(symbols.runAddress(known.entry));
    return entry ? { name, path: entry.path, line: entry.line } : { name };
  }
}
