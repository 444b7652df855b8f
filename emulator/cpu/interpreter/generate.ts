/**
 * Generates the interpreter: one function with a switch over the hot handlers, and a function for each other handler behind a table. A record's handler
 * number is an index of the switch, or, from `switchEnd` on, of the table; translated regions will take table entries after the last handler.
 */
import { EXIT_BREAK, EXIT_LOOKUP, EXIT_STOP, EXIT_SYSTEM, EXIT_UNLINKED } from '../codes.ts';
import type { Semantic } from '../emitter.ts';
import * as L from '../layout.ts';
import { BUDGET_MARGIN, HANDLER, layoutOf, SEGMENT_CHECK, SEGMENT_CHECK_LAYOUT } from '../records.ts';
import type { TableForm } from '../table/forms.ts';
import { isString } from '../table/legacy.ts';
import { buildModule } from '../wasm/module.ts';
import type { DefinedFunction, FunctionType, ImportedFunction } from '../wasm/module.ts';
import { Writer } from '../wasm/writer.ts';
import { InterpreterEmitter, PARAMETER } from './emitter.ts';
import type { HandlerOptions, Placement } from './emitter.ts';
import { canDropFlags, FUSED_JUMP, fusedConditions, hasFlaglessHandler, inSwitch } from './hot.ts';
import { AccessProbe } from './accesses.ts';
import { CHECK_SEGMENT, FUSED, handlerKey } from './keys.ts';
import type { HandlerTable } from './keys.ts';
import type { Helper } from './values.ts';

const HANDLER_TYPE: FunctionType = { parameters: ['i32', 'i32'], results: ['i32'] };
/** Table entries left for translated regions. */
const REGION_ENTRIES = 4096;
/** Exit codes are below every record address. */
const FIRST_RECORD = L.RECORDS;

interface Step {
  readonly form: TableForm;
  readonly options: HandlerOptions;
}
interface Handler {
  readonly key: string;
  /** One instruction, or a fused pair. */
  readonly steps: readonly Step[];
}

export interface GeneratedInterpreter {
  readonly module: Uint8Array;
  readonly handlers: HandlerTable;
  /** Handlers in the switch. */
  readonly hot: number;
  /** Bytes of the switch function. */
  readonly switchBytes: number;
}

/**
 * @param signatures of the core's exports
 */
export function generateInterpreter(
  forms: readonly TableForm[],
  semantics: (op: string) => Semantic | undefined,
  signatures: ReadonlyMap<string, FunctionType>,
): GeneratedInterpreter {
  const imports: ImportedFunction[] = [];
  const helpers = new Map<string, Helper>();
  const helper = (name: string): Helper => {
    let known = helpers.get(name);
    if (!known) {
      const type = signatures.get(name);
      if (!type) throw new Error(`the core exports no function ${name}`);
      known = { index: imports.push({ module: 'core', name, type }) - 1, type };
      helpers.set(name, known);
    }
    return known;
  };

  const meaningful = forms.filter((form) => semantics(form.op));
  const { hot, cold } = select(meaningful);
  cold.push({ key: CHECK_SEGMENT, steps: [] });
  const emit = (emitter: InterpreterEmitter, handler: Handler): boolean =>
    emitHandler(emitter, handler, semantics, helper);
  const needNext: number[] = [];
  const handlers: Record<string, number> = {};
  const switchEnd = HANDLER.firstForm + hot.length;

  const placed = (list: readonly Handler[], first: number): void =>
    list.forEach((handler, index) => {
      handlers[handler.key] = first + index;
    });
  placed(hot, HANDLER.firstForm);
  placed(cold, switchEnd);

  const functions: DefinedFunction[] = cold.map((handler, index) => {
    if (handler.key === CHECK_SEGMENT) return emitSegmentCheck(helper);
    const w = new Writer(256);
    const emitter = new InterpreterEmitter(w, helper, { tlbBase: undefined, dispatch: undefined }, 2);
    if (emit(emitter, handler)) needNext.push(switchEnd + index);
    return { type: HANDLER_TYPE, locals: emitter.locals, body: w.finish() };
  });
  const enter = emitSwitch(hot, switchEnd, helper, (emitter, handler, number) => {
    if (emit(emitter, handler)) needNext.push(number);
  });
  // Function indexes of bodies are fixed only when all imports are known; bodies call imports only, so their order is free.
  const module = buildModule({
    imports,
    memory: { module: 'env', name: 'memory', pages: 1 },
    table: {
      entries: switchEnd + cold.length + REGION_ENTRIES,
      offset: switchEnd,
      elements: cold.map((_, index) => index),
    },
    functions: [...functions, enter],
    indirectTypes: [HANDLER_TYPE],
  });
  const end = switchEnd + cold.length;
  return {
    module,
    handlers: {
      handlers,
      needNext,
      accesses: findAccesses(meaningful, semantics, helper),
      end,
      helpers: Object.fromEntries(signatures),
    },
    hot: hot.length,
    switchBytes: enter.body.length,
  };
}

/** Every form has a general handler; hot ones also have those of the switch. */
function select(forms: readonly TableForm[]): { hot: Handler[]; cold: Handler[] } {
  const hot: Handler[] = [];
  const cold: Handler[] = [];
  const jumps = forms.filter((form) => form.op === FUSED_JUMP);
  for (const form of forms) {
    const addresses = form.operands.some((operand) => operand.kind === 'memory');
    if (!form.hot) {
      cold.push(handler([{ form, options: { addressing: 'g', dropFlags: false } }]));
      continue;
    }
    const variants = (addresses ? (['b', 'x'] as const) : (['g'] as const)).filter((addressing) =>
      inSwitch(form, addressing),
    );
    if (addresses || variants.length === 0)
      cold.push(handler([{ form, options: { addressing: 'g', dropFlags: false } }]));
    for (const addressing of variants) {
      const step: Step = { form, options: { addressing, dropFlags: false } };
      hot.push(handler([step]));
      if (addressing !== 'x' && canDropFlags(form.row) && hasFlaglessHandler(form, form.row)) {
        hot.push(handler([{ form, options: { addressing, dropFlags: true } }]));
      }
      if (addressing === 'x') continue;
      for (const condition of fusedConditions(form)) {
        const jump = jumps.find((candidate) => candidate.condition === condition && candidate.hot);
        if (jump) hot.push(handler([step, { form: jump, options: { addressing: 'g', dropFlags: false } }]));
      }
    }
  }
  return { hot, cold };
}

function handler(steps: readonly Step[]): Handler {
  const keys = steps.map(({ form, options }) =>
    handlerKey(form.key, form.operands, options.addressing, options.dropFlags),
  );
  return { key: keys.join(FUSED), steps };
}

/** Emits one handler; answers whether it wants the address of the next instruction in its record. */
function emitHandler(
  emitter: InterpreterEmitter,
  { key, steps }: Handler,
  semantics: (op: string) => Semantic | undefined,
  helper: (name: string) => Helper,
): boolean {
  const { form: last } = steps.at(-1)!;
  const needsNext = steps.length === 1 && usesNext(steps[0]!, semantics(last.op)!, emitter.placement, helper);
  const endsBlock = last.row.branch !== undefined;
  emitter.beginHandler();
  let end = 0;
  for (const { form, options } of steps) {
    const layout = layoutOf(form, options.addressing, endsBlock && form === last, needsNext);
    emitter.beginInstruction(form, options, end, layout);
    semantics(form.op)!(emitter, form);
    end += layout.size;
  }
  if (endsBlock) {
    if (!emitter.ended) emitter.w.unreachable();
  } else if (emitter.ended) throw new Error(`${key} ends the block, its table row does not`);
  else emitter.next(end);
  return needsNext;
}

/** The handler of the record that checks an operand before its instruction. */
function emitSegmentCheck(helper: (name: string) => Helper): DefinedFunction {
  const w = new Writer(64);
  const emitter = new InterpreterEmitter(w, helper, { tlbBase: undefined, dispatch: undefined }, 2);
  emitter.beginHandler();
  emitter.beginInstruction(SEGMENT_CHECK, { addressing: 'g', dropFlags: false }, 0, SEGMENT_CHECK_LAYOUT);
  emitter.checkSegment();
  emitter.next(SEGMENT_CHECK_LAYOUT.size);
  return { type: HANDLER_TYPE, locals: emitter.locals, body: w.finish() };
}
function findAccesses(
  forms: readonly TableForm[],
  semantics: (op: string) => Semantic | undefined,
  helper: (name: string) => Helper,
): Record<string, number> {
  const accesses: Record<string, number> = {};
  for (const form of forms) {
    if (isString(form.op) || !form.operands.some(({ kind }) => kind === 'memory')) continue;
    const probe = new AccessProbe(helper);
    probe.beginHandler();
    probe.beginInstruction(form, { addressing: 'g', dropFlags: false }, 0, layoutOf(form, 'g', true, true));
    semantics(form.op)!(probe, form);
    if (probe.access !== 0) accesses[form.key] = probe.access;
  }
  return accesses;
}

/** Emits the instruction to nowhere to see whether it asks for the next address. */
function usesNext(
  { form, options }: Step,
  semantic: Semantic,
  placement: Placement,
  helper: (name: string) => Helper,
): boolean {
  const probe = new InterpreterEmitter(
    new Writer(),
    helper,
    { ...placement, dispatch: placement.dispatch === undefined ? undefined : 0 },
    2,
  );
  probe.beginHandler();
  probe.beginInstruction(form, options, 0, layoutOf(form, options.addressing, true, true));
  semantic(probe, form);
  return probe.usesNext;
}

/** Handlers in `switchEnd` order of one big `br_table`; anything beyond is called through the table. */
function emitSwitch(
  hot: readonly Handler[],
  switchEnd: number,
  helper: (name: string) => Helper,
  emit: (emitter: InterpreterEmitter, handler: Handler, number: number) => void,
): DefinedFunction {
  const w = new Writer(1 << 18);
  const parameters = 2;
  const handlerLocal = parameters;
  const tlbBase = parameters + 1;
  w.bytes([0x41, 0]);
  w.memory('i32.load', L.TLB_BASE);
  w.localSet(tlbBase);
  const dispatch = w.loop();
  const lookUp = w.block();
  const emitter = new InterpreterEmitter(w, helper, { tlbBase, dispatch, lookUp }, parameters + 2);

  for (let number = 0; number <= switchEnd; number++) w.block();
  w.localGet(PARAMETER.record);
  w.memory('i32.load16_u', 0);
  w.localTee(handlerLocal);
  w.branchTable(
    Array.from({ length: switchEnd }, (_, index) => index),
    switchEnd,
  );
  const stubs = new Map<number, number>([
    [HANDLER.unlinked, EXIT_UNLINKED],
    [HANDLER.stop, EXIT_STOP],
    [HANDLER.far, EXIT_LOOKUP],
    [HANDLER.farInSegment, EXIT_LOOKUP],
    [HANDLER.breakpoint, EXIT_BREAK],
    [HANDLER.system, EXIT_SYSTEM],
  ]);
  for (let number = 0; number < switchEnd; number++) {
    w.end();
    const exit = stubs.get(number);
    if (number >= HANDLER.firstForm) emit(emitter, hot[number - HANDLER.firstForm]!, number);
    else if (exit === undefined) w.unreachable();
    else {
      emitter.beginHandler();
      emitter.emitStub(number, exit);
    }
  }
  w.end();
  emitTableCall(w, dispatch, handlerLocal);
  w.end();
  emitLookUp(w, dispatch, helper('codeRecord'));
  w.end();
  w.unreachable();
  return { type: HANDLER_TYPE, locals: ['i32', 'i32', ...emitter.locals], body: w.finish(), export: 'enter' };
}

/**
 * Calls a handler's own function, or a region: it answers the next record or an exit code, and keeps the budget in memory. EXIT_LOOKUP leads out of the block
 * around this.
 */
function emitTableCall(w: Writer, dispatch: number, handlerLocal: number): void {
  w.i32Const(0);
  w.localGet(PARAMETER.budget);
  w.memory('i32.store', L.BUDGET);
  w.localGet(PARAMETER.record);
  w.localGet(PARAMETER.budget);
  w.localGet(handlerLocal);
  w.callIndirect(0);
  w.localSet(PARAMETER.record);
  w.i32Const(0);
  w.memory('i32.load', L.BUDGET);
  w.localSet(PARAMETER.budget);
  w.localGet(PARAMETER.record);
  w.i32Const(FIRST_RECORD);
  w.plain(0x4f); // i32.ge_u
  w.branchIf(dispatch);
  w.localGet(PARAMETER.record);
  w.i32Const(EXIT_LOOKUP);
  w.plain(0x47); // i32.ne
  w.if();
  w.localGet(PARAMETER.record);
  w.return();
  w.end();
}
/** Goes on with the record at RIP if the core knows it; otherwise, or if the budget is low, it is the driver's. */
function emitLookUp(w: Writer, dispatch: number, codeRecord: Helper): void {
  w.localGet(PARAMETER.budget);
  w.i32Const(BUDGET_MARGIN);
  w.plain(0x4e); // i32.ge_s
  w.if();
  w.i32Const(0);
  w.memory('i64.load', L.RIP);
  w.i32Const(0);
  w.call(codeRecord.index);
  w.localTee(PARAMETER.record);
  w.branchIf(dispatch);
  w.end();
  w.i32Const(0);
  w.localGet(PARAMETER.budget);
  w.memory('i32.store', L.BUDGET);
  w.i32Const(EXIT_LOOKUP);
  w.return();
}
