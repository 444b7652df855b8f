/** When V8 optimises: its own rules suit programs that run for long. Where its numbers are not known nothing is changed. */
import { setFlagsFromString } from 'node:v8';
import { HANDLER } from '../../../emulator/cpu/records.ts';

/** Default of V8's --wasm-tiering-budget, by version. */
const TIERING_BUDGETS: Readonly<Record<string, number>> = { '11.3': 1_800_000 };
const usualBudget = TIERING_BUDGETS[process.versions.v8.split('.', 2).join('.')];
/** Bytes of bytecode that a JavaScript function executes before it is optimised: twice as many as usual. With more, programs that exit often are slower. */
const INTERRUPT_BUDGET = 300_000;
const LARGEST_BUDGET = 2_000_000_000;
/** Most that one turn of a loop takes from the budget is a quarter of the default that is in force when the function is compiled. */
const SMALLEST_BUDGET = 400;

/**
 * The interpreter, to be optimised by V8 only after some 20 million instructions. V8 counts the bytes of machine code that a loop jumps back, and the
 * interpreter's is so long that it would be optimised at once: 0.1 s of processor time, for which the end of the process waits too, and which a
 * short program does not get back.
 */
export function compileInterpreter(bytes: BufferSource): WebAssembly.Module {
  if (usualBudget === undefined) return new WebAssembly.Module(bytes);
  const setBudget = (budget: number): void => setFlagsFromString(`--wasm-tiering-budget=${budget}`);
  try {
    setBudget(LARGEST_BUDGET);
    const module = new WebAssembly.Module(bytes);
    setBudget(SMALLEST_BUDGET);
    compileEntry(module);
    return module;
  } finally {
    setBudget(usualBudget);
  }
}

/**
 * Has V8 take more time to optimise JavaScript: a program of ten thousand instructions spent two thirds of its time on having the decoder optimised,
 * which it was soon done with. Before anything is compiled, since code that is kept is for these flags.
 */
export function optimiseLate(): void {
  if (usualBudget !== undefined) setFlagsFromString(`--interrupt-budget=${INTERRUPT_BUDGET}`);
}

/** Has V8 compile the interpreter's loop, by running it on a record that stops it at once. */
function compileEntry(module: WebAssembly.Module): void {
  const memory = new WebAssembly.Memory({ initial: 1 });
  new Uint8Array(memory.buffer)[0] = HANDLER.stop;
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module))
    (imports[from] ??= {})[name] = kind === 'memory' ? memory : () => 0;
  const { enter } = new WebAssembly.Instance(module, imports).exports;
  (enter as (record: number, budget: number) => number)(0, 0);
}
