/** Call stacks as the client sees them: inlined copies are frames, and where the ring or the mode changes stands a label. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { ThreadInfo } from '../emulator/machine/api.ts';
import type { Debuggee } from './debuggee.ts';
import { FrameScope } from './expressions/scope.ts';
import { hasOwnKernel } from './presentation/modes.ts';
import { EXIT_REASON, vmcsField } from './presentation/tables.ts';
import { referenceTo } from './presentation/spaces.ts';
import { exitReasonName } from '../emulator/vmx/exit-reasons.ts';
import { hardwareFrame, hardwareFrameOf, ringOfTrapFrame, syscallEntry } from './trap-frames.ts';
import { registerName } from './symbols/dwarf/registers.ts';
import { frameRegisters, type FrameRegisters } from './symbols/dwarf/unwind.ts';
import type { FunctionInstance } from './symbols/dwarf/functions.ts';
import { StackFrame } from './symbols/stack-frame.ts';

export interface CodeFrame {
  readonly kind: 'code';
  readonly thread: number;
  readonly name: string;
  readonly pc: bigint;
  /** Source position: of the pc, or of the call for frames around an inlined one. */
  readonly path: string | undefined;
  readonly line: number;
  readonly column: number;
  readonly scope: FrameScope;
  /** How many inlined copies are inside this frame. */
  readonly inlinedInside: number;
  readonly ring: number;
}
export interface LabelFrame {
  readonly kind: 'label';
  readonly thread: number;
  readonly name: string;
  /** Code that is shown although its registers are gone. */
  readonly place?: { readonly pc: bigint; readonly path: string; readonly line: number; readonly column: number };
}
export type Frame = CodeFrame | LabelFrame;

/** Deeper stacks are cut: they come from runaway recursion or damage. */
const MAX_FRAMES = 10_000;
const GENERAL_REGISTERS = 17;

export class CallStacks {
  readonly #stacks = new Map<number, LazyStack>();

  constructor(readonly debuggee: Debuggee) {}

  clear(): void {
    this.#stacks.clear();
  }

  /** Frames [start, start + count) of a thread, innermost first, and how many there are at least. */
  frames(thread: number, start: number, count: number): { frames: Frame[]; total: number; ids: number[] } {
    let stack = this.#stacks.get(thread);
    if (!stack) this.#stacks.set(thread, (stack = new LazyStack(walk(this.debuggee, thread))));
    const frames = stack.take(start, count);
    return { frames, total: stack.known, ids: frames.map((frame) => stack.id(frame, this.debuggee)) };
  }

  /** The innermost frame with code. */
  top(thread: number): CodeFrame | undefined {
    return this.frames(thread, 0, 4).frames.find((frame): frame is CodeFrame => frame.kind === 'code');
  }
}

class LazyStack {
  readonly #frames: Frame[] = [];
  readonly #ids = new Map<Frame, number>();
  #done = false;

  constructor(readonly source: Iterator<Frame>) {}

  take(start: number, count: number): Frame[] {
    // One more than asked for tells the client whether there are more.
    while (!this.#done && this.#frames.length < start + count + 1) {
      const next = this.#frames.length < MAX_FRAMES ? this.source.next() : { done: true as const, value: undefined };
      if (next.done) this.#done = true;
      else this.#frames.push(next.value);
    }
    return this.#frames.slice(start, start + count);
  }
  get known(): number {
    return this.#frames.length;
  }
  id(frame: Frame, debuggee: Debuggee): number {
    let id = this.#ids.get(frame);
    if (id === undefined) this.#ids.set(frame, (id = debuggee.frames.add(frame)));
    return id;
  }
}

export function threadRegisters(debuggee: Debuggee, thread: number): FrameRegisters {
  const { machine } = debuggee;
  const values = Array.from({ length: GENERAL_REGISTERS }, (_, number) =>
    machine.readRegister(thread, registerName(number)!),
  );
  return frameRegisters(values);
}

/** The physical frame a thread executes in. */
export function innermostFrame(debuggee: Debuggee, thread: number): StackFrame {
  return physicalFrame(debuggee, thread, threadRegisters(debuggee, thread), true, 0);
}

function physicalFrame(
  debuggee: Debuggee,
  thread: number,
  registers: FrameRegisters,
  interrupted: boolean,
  depth: number,
): StackFrame {
  const pc = registers[16]?.value ?? 0n;
  const symbols = debuggee.images.at(thread, pc) ?? debuggee.images.main;
  return new StackFrame(symbols, debuggee.target(thread), registers, interrupted, depth);
}

function* walk(debuggee: Debuggee, thread: number): Generator<Frame> {
  const info = debuggee.machine.thread(thread);
  if (!info) return;
  const ended = info.mode === 'linux' ? endOfDuneMode(debuggee, thread) : undefined;
  if (ended) yield ended;
  if (info.state === 'blocked' && info.blockedOn)
    yield {
      kind: 'label',
      thread,
      name:
        info.mode === 'linux' || info.mode === 'dune' ? `[Linux: waits in ${info.blockedOn}]` : `[${info.blockedOn}]`,
    };
  yield* framesOfLevel(debuggee, info);
  const other = debuggee.machine.otherLevel(thread);
  if (!other) return;
  yield { kind: 'label', thread, name: levelLabel(debuggee, other) };
  yield* framesOfLevel(debuggee, other);
}

/** Before the frames of a processor's other level, which begin where the next VM exit or entry leads. */
function levelLabel(debuggee: Debuggee, { id, mode }: ThreadInfo): string {
  if (mode === 'root') return '[VM exits lead to the hypervisor]';
  const reason = vmcsField(debuggee, id, EXIT_REASON);
  const exit = reason === undefined ? undefined : exitReasonName(Number(reason & 0xffffn));
  return `[guest${exit ? `: last exit ${exit}` : ''}]`;
}

function* framesOfLevel(debuggee: Debuggee, info: ThreadInfo): Generator<Frame> {
  const thread = info.id;
  let ring = info.cpl;
  let frame: StackFrame | undefined = innermostFrame(debuggee, thread);
  while (frame) {
    yield* logicalFrames(debuggee, thread, frame, ring);
    const next: Caller | undefined = callerOf(debuggee, info, frame, ring);
    if (next?.label !== undefined) yield { kind: 'label', thread, name: next.label };
    if (next) ring = next.ring;
    frame = next?.frame;
  }
}

/**
 * Where Dune mode ended, for a thread that is back in Linux mode by then (a VM entry that failed). Otherwise the machine holds the
 * guest at the instruction, and its frames are there.
 */
function endOfDuneMode(debuggee: Debuggee, thread: number): LabelFrame | undefined {
  const outcome = debuggee.runner.lastOutcome;
  if (outcome?.kind !== 'event' || outcome.thread !== thread || !outcome.event.facts.abnormal) return undefined;
  const exit = debuggee.log.latest(thread, 'vm-exit');
  if (!exit) return undefined;
  const name = `${debuggee.images.symbol(thread, exit.rip) ?? `0x${exit.rip.toString(16)}`} [Dune mode ended here, ring ${exit.cpl}]`;
  const position = debuggee.images.source(thread, exit.rip);
  return { kind: 'label', thread, name, place: position && { pc: exit.rip, ...position } };
}

interface Caller {
  readonly frame: StackFrame;
  readonly ring: number;
  /** There is a boundary before it. */
  readonly label?: string;
}

function callerOf(debuggee: Debuggee, thread: ThreadInfo, frame: StackFrame, ring: number): Caller | undefined {
  const make = (registers: FrameRegisters, interrupted: boolean): StackFrame =>
    physicalFrame(debuggee, thread.id, registers, interrupted, frame.depth + 1);
  const crossed = (registers: FrameRegisters, outer: number, how: string): Caller => ({
    frame: make(registers, true),
    ring: outer,
    label: outer === ring ? `[${how} in ring ${ring}]` : `[${how}: ring ${outer} → ring ${ring}]`,
  });
  const ownKernel = hasOwnKernel(thread.mode);
  if (ownKernel && ring === 0 && !debuggee.images.at(thread.id, frame.pc)) {
    const entry = syscallEntry(debuggee.machine, thread.id, frame.registers);
    if (entry) return crossed(entry.registers, entry.ring, 'system call');
  }
  // Entry stubs have no call frame information, or say that they have no caller before they have built their frame.
  const trapped = ownKernel && ring === 0 ? () => hardwareFrame(debuggee, thread.id, frame.registers) : () => undefined;
  const symbols = debuggee.images.at(thread.id, frame.pc);
  const described = symbols?.frames.at(symbols.linkAddress(frame.lookupPc)) !== undefined;
  const next = described ? frame.unwind() : undefined;
  if (!next || sameFrame(frame, next.registers)) {
    const trap = trapped();
    if (trap) return crossed(trap.registers, trap.ring, 'exception');
    const guessed = described ? undefined : frame.unwind();
    return guessed && !sameFrame(frame, guessed.registers)
      ? { frame: make(guessed.registers, false), ring }
      : undefined;
  }
  if (!next.signal) {
    const trap = ownKernel && ring === 0 ? hardwareFrameOf(debuggee, thread.id, next.registers) : undefined;
    return trap
      ? crossed(trap.registers, trap.ring, 'interrupt or exception')
      : { frame: make(next.registers, false), ring };
  }
  if (!ownKernel) return { frame: make(next.registers, true), ring, label: '[signal handler called]' };
  return crossed(next.registers, ringOfTrapFrame(frame.target, next.registers) ?? ring, 'trap');
}

/** A caller that is its own callee would go on for ever. */
function sameFrame(frame: StackFrame, registers: FrameRegisters): boolean {
  return registers[16]?.value === frame.pc && registers[7]?.value === frame.registers[7]?.value;
}

function* logicalFrames(debuggee: Debuggee, thread: number, frame: StackFrame, ring: number): Generator<CodeFrame> {
  const { program } = frame;
  const mapped = debuggee.images.at(thread, frame.pc) !== undefined;
  const chain: (FunctionInstance | undefined)[] = mapped ? program.inlineChain(frame.lookupPc) : [];
  const position = mapped ? program.addressToSource(frame.lookupPc) : undefined;
  if (chain.length === 0) chain.push(undefined);
  for (const [index, instance] of chain.entries()) {
    const inside = chain[index - 1];
    yield {
      kind: 'code',
      thread,
      name: instance?.name ?? symbolName(debuggee, thread, frame),
      pc: frame.pc,
      path: inside ? inside.callFile : position?.path,
      line: (inside ? inside.callLine : position?.line) ?? 0,
      column: (inside ? inside.callColumn : position?.column) ?? 0,
      scope: new FrameScope(frame, instance),
      inlinedInside: index,
      ring,
    };
  }
}

function symbolName(debuggee: Debuggee, thread: number, frame: StackFrame): string {
  return debuggee.images.symbol(thread, frame.lookupPc) ?? `0x${frame.pc.toString(16)}`;
}

/** A frame as DAP has it. */
export function protocolFrame(debuggee: Debuggee, frame: Frame, id: number): DebugProtocol.StackFrame {
  if (frame.kind === 'label') {
    const { place, name } = frame;
    if (!place) return { id, name, line: 0, column: 0, presentationHint: 'label' };
    const { line, column } = place;
    return {
      id,
      name,
      source: protocolSource(debuggee, place.path),
      line,
      column,
      instructionPointerReference: `0x${place.pc.toString(16)}`,
    };
  }
  const source = frame.path === undefined ? undefined : protocolSource(debuggee, frame.path);
  return {
    id,
    name: frame.name,
    source,
    line: source ? frame.line : 0,
    column: source ? frame.column : 0,
    instructionPointerReference: referenceTo(debuggee, frame.thread, frame.pc),
    presentationHint: source && source.presentationHint !== 'deemphasize' ? 'normal' : 'subtle',
  };
}

/** A source file; one that is not on this host is shown but cannot be opened. */
export function protocolSource(debuggee: Debuggee, path: string): DebugProtocol.Source {
  const local = debuggee.images.localSource(path);
  const name = path.slice(path.lastIndexOf('/') + 1);
  return local ? { name, path: local } : { name, path, presentationHint: 'deemphasize', origin: 'not on this machine' };
}
