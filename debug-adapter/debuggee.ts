/** A launched program: its machine, symbols, log, and what the protocol has handles for. */
import type { HostFiles, Machine, MachineOptions } from '../emulator/machine/api.ts';
import { createMachine } from '../emulator/machine/machine.ts';
import { assembleProgram, isAssemblySource, readLibraries } from './assemble-program.ts';
import { EventBreakpoints } from './breakpoints/event-breakpoints.ts';
import { EventLog } from './event-log.ts';
import { Output } from './execution/output.ts';
import { explanationText } from './execution/report.ts';
import { Runner } from './execution/runner.ts';
import { CallStacks, type Frame } from './frames.ts';
import { Handles } from './handles.ts';
import { Images, type GuestImage } from './images.ts';
import type { LaunchOptions } from './launch-options.ts';
import { RequestError } from './request.ts';
import type { Session } from './session.ts';
import type { TargetAccess } from './symbols/stack-frame.ts';
import { joinPath } from './symbols/path.ts';
import { symbolsOfKernel } from './kernel-symbols.ts';
import { parseNumber } from './presentation/registers.ts';
import type { VariableContainer } from './presentation/variable.ts';

const MEGABYTE = 1024 * 1024;

export class Debuggee {
  readonly images: Images;
  readonly log: EventLog;
  readonly runner: Runner;
  readonly stacks: CallStacks;
  readonly eventBreakpoints: EventBreakpoints;
  readonly frames = new Handles<Frame>();
  readonly variables = new Handles<VariableContainer>();
  /** Addresses chosen in the "Page walk" scope, by thread. */
  readonly walkAddresses = new Map<number, bigint>();

  private constructor(
    readonly session: Session,
    readonly machine: Machine,
    readonly options: LaunchOptions,
    program: { path: string; image: Uint8Array },
    output: Output,
    guests: readonly GuestImage[],
  ) {
    this.images = new Images(machine, session.host.files, program, options.sourceMap, guests, (text) =>
      session.console(text, 'important'),
    );
    this.log = new EventLog(machine, options.trace);
    this.eventBreakpoints = new EventBreakpoints(this);
    this.runner = new Runner(this, output);
    this.stacks = new CallStacks(this);
    this.#explain();
  }

  /** Every abnormal end explains itself in the console, whether or not somebody stops there; so do mistakes that end nothing. */
  #explain(): void {
    this.machine.events.subscribe(['diagnostic', 'signal'], (event) => {
      if (event.kind === 'diagnostic' && !event.facts.abnormal) return this.session.console(event.summary, 'important');
      if (!event.facts.abnormal && event.facts.action !== 'kills it') return;
      const explanation = this.machine.explanation(event.thread);
      if (explanation) this.session.console(explanationText(explanation), 'important');
    });
  }

  /** Builds the machine for a launch. Throws with one sentence if the program or an option is unusable. */
  static async launch(session: Session, options: LaunchOptions): Promise<Debuggee> {
    const { host } = session;
    const cwd = options.cwd === '' ? host.directory : joinPath(host.directory, options.cwd);
    const path = joinPath(cwd, options.program);
    const file = host.files.readFile(path);
    if (!file)
      throw new RequestError(
        `The program ${path} does not exist or cannot be read: check "program", or build it first.`,
      );
    const image = isAssemblySource(path)
      ? assembleProgram(
          host.files,
          path,
          file,
          await readLibraries(host, cwd, options.libraries),
          options.includePath.map((folder) => joinPath(cwd, folder)),
        )
      : file;
    const output = new Output(session);
    const machine = createMachine(await host.assets(), {
      ...machineOptions(options, cwd, path),
      program: { path, image },
      files: host.files,
      output: (fd, data) => output.write(fd, data),
    });
    const symbols = options.machine === 'bare' ? symbolsOfKernel(host.files, path, image) : image;
    const guests = guestImages(host.files, options, cwd);
    const debuggee = new Debuggee(session, machine, options, { path, image: symbols }, output, guests);
    if (options.stdin !== '') debuggee.#feed(joinPath(cwd, options.stdin));
    return debuggee;
  }

  #feed(path: string): void {
    const data = this.session.host.files.readFile(path);
    if (!data) throw new RequestError(`The file ${path} for "stdin" does not exist or cannot be read.`);
    this.machine.input(data);
    this.machine.input(null);
  }

  /** The machine stopped, or state was edited: frames and variables are other ones now. */
  invalidate(): void {
    this.frames.clear();
    this.variables.clear();
    this.stacks.clear();
  }

  target(thread: number): TargetAccess {
    const { machine } = this;
    return {
      readMemory: (gva, bytes) => machine.readMemory(thread, 'gva', gva, bytes),
      writeMemory: (gva, data) => machine.writeMemory(thread, 'gva', gva, data) === data.length,
      readRegister: (name) => machine.readRegister(thread, name),
      writeRegister: (name, value) => machine.writeRegister(thread, name, value),
    };
  }

  /** Throws RequestError unless the program is stopped: what it has cannot be looked at while it runs. */
  requireStopped(): void {
    if (this.runner.running) throw new RequestError('The program is running: pause it first.');
  }

  frame(id: number): Frame {
    this.requireStopped();
    const frame = this.frames.get(id);
    if (!frame) throw new RequestError('This stack frame is gone: the program has run since.');
    return frame;
  }
}

function guestImages(files: HostFiles, { guestSymbols }: LaunchOptions, cwd: string): GuestImage[] {
  return guestSymbols.map((guest) => {
    const { path, offset } = typeof guest === 'string' ? { path: guest, offset: '0' } : guest;
    const full = joinPath(cwd, path);
    if (files.stat(full)?.type !== 'file')
      throw new RequestError(`The file ${full} of "guestSymbols" does not exist: build it first.`);
    return { path: full, bias: BigInt.asUintN(64, parseNumber(offset)) };
  });
}

type ChosenOptions = Omit<MachineOptions, 'program' | 'files' | 'output'>;

function machineOptions(options: LaunchOptions, cwd: string, program: string): ChosenOptions {
  const grants = options.grants.map((grant) => {
    const { path, write } = typeof grant === 'string' ? { path: grant, write: false } : grant;
    return { path: joinPath(cwd, path), write };
  });
  return {
    machine: options.machine,
    args: options.machine === 'bare' && options.append !== '' ? [options.append, ...options.args] : options.args,
    env: Object.entries(options.env).flatMap(([name, value]) => (value === null ? [] : [`${name}=${value}`])),
    cwd,
    grants: [{ path: program.slice(0, program.lastIndexOf('/')) || '/', write: false }, ...grants],
    syscalls: options.syscalls,
    physBits: options.physBits,
    cpus: options.cpus,
    cpuModel: options.cpu,
    memory: options.memory * MEGABYTE,
    seed: options.seed,
    aslr: options.aslr,
  };
}
