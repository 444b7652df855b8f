import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { frameRegisters } from './dwarf/unwind.ts';
import { SymbolError } from './errors.ts';
import { loadSymbols, type ProgramSymbols } from './index.ts';
import { StackFrame } from './stack-frame.ts';
import { build, run, sourcePath, symbolsOf } from './testdata/build.ts';
import { Snapshot } from './testdata/snapshot.ts';
import { stopwatch, within } from '../../test/support/quickest.ts';

const INLINE = ['-O2', '-gdwarf-5'];

function lineOf(text: string): number {
  return (
    readFileSync(sourcePath('inline.c'), 'utf8')
      .split('\n')
      .findIndex((line) => line.includes(text)) + 1
  );
}

describe('program symbols', () => {
  it('know what nm knows', () => {
    const path = build('gcc', ['values.c', 'snapshot.S'], ['-O2', '-static']);
    const { elf } = symbolsOf(path);
    let compared = 0;
    for (const line of run('nm', ['-S', path]).split('\n')) {
      const found = /^([0-9a-f]{16}) ([0-9a-f]{16}) ([Tt]) (\S+)$/.exec(line);
      if (!found) continue;
      const [address, size] = [parseInt(found[1]!, 16), parseInt(found[2]!, 16)];
      assert.ok(
        elf.symbols.byName(found[4]!).some((symbol) => symbol.address === address && symbol.size === size),
        line,
      );
      const inside = elf.symbols.at(address + size - 1)!;
      assert.ok(inside.symbol.address <= address && inside.symbol.address + inside.symbol.size >= address + size, line);
      compared++;
    }
    assert.ok(compared > 500);
  });

  it('open a static program within 150 ms and find its lines as quickly', async () => {
    const path = build('gcc', ['values.c', 'snapshot.S'], ['-O2', '-static']);
    const image = new Uint8Array(readFileSync(path));
    await within(150, () => {
      const symbols = loadSymbols(image, path);
      symbols.functionsByName('main');
      symbols.symbolAt(symbols.runAddress(symbols.elf.entry));
    });
  });

  it('bind a line to every function and inlined copy it is in', () => {
    const symbols = symbolsOf(build('gcc', ['inline.c'], INLINE));
    const line = lineOf('seen = value');
    const bound = symbols.sourceToAddresses(sourcePath('inline.c'), line)!;
    assert.equal(bound.actualLine, line);
    assert.ok(bound.addresses.length >= 2);
    // gcc may begin a copy's line an instruction before the copy, so not every address lies in one.
    assert.ok(bound.addresses.some((address) => symbols.inlineChain(address)[0]!.name === 'clamp'));
  });

  it('bind a line without code to the next one with code', () => {
    const symbols = symbolsOf(build('gcc', ['inline.c'], ['-O0', '-gdwarf-5']));
    const bound = symbols.sourceToAddresses(sourcePath('inline.c'), lineOf('stepping and addr2line'))!;
    assert.equal(bound.actualLine, lineOf('static inline int clamp') + 1);
    assert.equal(symbols.sourceToAddresses(sourcePath('inline.c'), 10_000), undefined);
    assert.equal(symbols.sourceToAddresses('/elsewhere/other.c', 3), undefined);
  });

  it('find sources by the end of their path', () => {
    const symbols = symbolsOf(build('gcc', ['inline.c'], INLINE));
    assert.equal(symbols.lines.resolve('/somewhere/else/testdata/inline.c'), sourcePath('inline.c'));
    assert.equal(symbols.lines.resolve('inline.c'), sourcePath('inline.c'));
    assert.equal(symbols.lines.resolve('/somewhere/else/inline.c'), undefined);
  });

  for (const compiler of ['gcc', 'clang'])
    it(`put function breakpoints after the prologue: ${compiler}`, () => {
      const symbols = symbolsOf(build(compiler, ['inline.c'], ['-O0', '-gdwarf-5']));
      const [total] = symbols.functionsByName('total');
      assert.ok(total!.breakpoint > total!.entry);
      assert.equal(symbols.addressToSource(total!.breakpoint)!.line, lineOf('int sum = 0'));
      assert.equal(symbols.functionsByName('no_such_function').length, 0);
    });

  it('give the addresses a step by line passes over', () => {
    const symbols = symbolsOf(build('gcc', ['inline.c'], ['-O0', '-gdwarf-5']));
    const line = lineOf('sum += scale');
    const [address] = symbols.sourceToAddresses(sourcePath('inline.c'), line)!.addresses;
    const range = symbols.lineRange(address!)!;
    assert.equal(range.low, address);
    for (let gva = range.low; gva < range.high; gva++) assert.equal(symbols.addressToSource(gva)!.line, line);
    assert.notEqual(symbols.addressToSource(range.high)!.line, line);
  });

  it('unwind without call frame information: by frame pointer, and by scanning', () => {
    const path = build('gcc', ['fallback.c', 'bare.S', 'snapshot.S'], ['-O1', '-static']);
    const symbols = symbolsOf(path);
    const snapshot = new Snapshot(path);
    const names: string[] = [];
    const methods: (string | undefined)[] = [];
    let frame: StackFrame | undefined = new StackFrame(
      symbols,
      snapshot,
      frameRegisters(snapshot.registers.slice(0, 17)),
      true,
    );
    while (frame && names.at(-1) !== 'main') {
      names.push(symbols.symbolAt(frame.lookupPc)?.name ?? '?');
      methods.push(frame.unwind()?.method);
      frame = frame.caller();
    }
    assert.deepEqual(names, ['snapshot', 'with_frame_pointer', 'without_anything', 'main']);
    assert.deepEqual(methods.slice(0, 3), ['cfi', 'frame-pointer', 'scan']);
  });
});

/** Everything a session would ask of symbols. */
function exercise(symbols: ProgramSymbols): void {
  for (const name of ['main', 'total', 'printf'])
    for (const { entry, breakpoint } of symbols.functionsByName(name)) {
      symbols.addressToSource(breakpoint);
      symbols.lineRange(breakpoint);
      for (const instance of symbols.inlineChain(breakpoint))
        for (const variable of symbols.variablesIn(instance, breakpoint))
          symbols.types.typeOf(variable.die).name.toString();
      const registers = frameRegisters(
        Array.from({ length: 17 }, (_, index) => (index === 16 ? entry + 4n : 0x7fff_0000_0000n)),
      );
      const target = {
        readMemory: (_: bigint, bytes: number) => new Uint8Array(Math.min(bytes, 64)),
        writeMemory: () => false,
        readRegister: () => 0n,
        writeRegister: () => undefined,
      };
      const frame = new StackFrame(symbols, target, registers, true);
      frame.unwind();
      for (const instance of symbols.inlineChain(entry))
        for (const variable of symbols.variablesIn(instance, entry)) frame.locationOf(variable.die);
    }
  symbols.sourceToAddresses('inline.c', 20);
  symbols.types.byName('int');
  void [...symbols.globals(undefined)];
}

describe('damaged ELF files', () => {
  it('are refused with one sentence, or read as far as they go: 2,000 mutations', function () {
    const images = [INLINE, ['-O0', '-gdwarf-4']].map(
      (flags) => new Uint8Array(readFileSync(build('gcc', ['inline.c'], flags))),
    );
    const seed = Number(process.env.SEED ?? Date.now() % 1e9);
    const byte = fc.tuple(
      fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      fc.integer({ min: 0, max: 255 }),
    );
    const plan = fc.record({
      image: fc.integer({ min: 0, max: 1 }),
      bytes: fc.array(byte, { minLength: 1, maxLength: 40 }),
      cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 8 }),
    });
    let slowest = 0;
    fc.assert(
      fc.property(plan, ({ image, bytes, cut }) => {
        const original = images[image]!;
        const mutated = original.slice(0, cut === null ? original.length : Math.floor(original.length * cut));
        for (const [where, value] of bytes) mutated[Math.floor(where * mutated.length)] = value;
        const elapsed = stopwatch();
        try {
          exercise(loadSymbols(mutated, 'mutated'));
        } catch (error) {
          if (!(error instanceof SymbolError)) throw error;
          assert.match(error.message, /^[A-Z.].*\.$/);
        }
        slowest = Math.max(slowest, elapsed());
      }),
      { numRuns: 2000, seed },
    );
    assert.ok(slowest < 5000, `slowest took ${slowest} ms with seed ${seed}`);
  });
});
