/** The two 8259As as a kernel sees them (8259A data sheet); ports 2000h + n raise and lower input n. */
import assert from 'node:assert/strict';
import { bootSource } from './board-test-support.ts';

const raise = (input: number): string => `port ${0x2000 + input}, 1\n`;
const lower = (input: number): string => `port ${0x2000 + input}, 0\n`;
const out = (port: number, value: number): string => `port ${port}, ${value}\n`;
/** Vectors 20h to 2Fh, every input open; `fourth` 1, with 2 for automatic EOI. */
const INITIALIZE = (fourth = 1): string =>
  [
    out(0x20, 0x11) + out(0x21, 0x20) + out(0x21, 4) + out(0x21, fourth) + out(0x21, 0),
    out(0xa0, 0x11) + out(0xa1, 0x28) + out(0xa1, 2) + out(0xa1, fourth) + out(0xa1, 0),
  ].join('');
const EOI = out(0x20, 0x20);
const EOI_BOTH = out(0xa0, 0x20) + EOI;
const notes = (source: string): number[] => bootSource(`main:\n${source}`).notes;
const input = (name: string, note: number, end = EOI): string => `${name}: note ${note}\n ${end} iret\n`;

describe('the 8259s', () => {
  it('stand as firmware leaves them: vectors 8 and 70h, every input open', () => {
    const found = notes(`
      in_port 0x21
      note eax
      gate 11, third
      gate 0x73, eleventh
      sti
      ${raise(3)} nop
      ${raise(11)} nop
      cli
      finish 0
      ${input('third', 3)} ${input('eleventh', 11, EOI_BOTH)}`);
    assert.deepEqual(found, [0, 3, 11]);
  });

  it('are initialized by four words, and mask by one', () => {
    const found = notes(`
      ${INITIALIZE()}
      gate 0x24, fourth
      gate 0x25, fifth
      ${out(0x21, 0x10)}
      sti
      ${raise(4)} nop
      ${raise(5)} nop
      note 1
      in_port 0x20
      note eax
      ${out(0x21, 0)} nop
      cli
      finish 0
      ${input('fourth', 4)} ${input('fifth', 5)}`);
    assert.deepEqual(found, [5, 1, 0x10, 4]);
  });

  it('hold lower inputs back until the end of a higher one', () => {
    const found = notes(`
      ${INITIALIZE()}
      gate 0x21, first
      gate 0x23, third
      sti
      ${raise(1)} nop
      cli
      finish 0
      first: note 1
      ${raise(3)}
      sti
      nop
      note 2
      cli
      ${out(0x20, 0x0b)}
      in_port 0x20             # in service
      note eax
      ${out(0x20, 0x0a)}
      in_port 0x20             # requested
      note eax
      ${EOI}
      iret
      ${input('third', 3)}`);
    assert.deepEqual(found, [1, 2, 2, 8, 3]);
  });

  it('let a higher input in over a lower one, and end a named one', () => {
    const found = notes(`
      ${INITIALIZE()}
      gate 0x21, first
      gate 0x23, third
      sti
      ${raise(3)} nop
      cli
      ${out(0x20, 0x0b)}
      in_port 0x20
      note eax
      finish 0
      third: note 3
      ${raise(1)}
      sti
      nop
      cli
      ${out(0x20, 0x63)}
      iret
      ${input('first', 1)}`);
    assert.deepEqual(found, [3, 1, 0]);
  });

  it('cascade: the second one stands on input 2 of the first, before input 3', () => {
    const found = notes(`
      ${INITIALIZE()}
      gate 0x23, third
      gate 0x28, eighth
      ${raise(3)} ${raise(8)}
      sti
      nop
      nop
      cli
      finish 0
      ${input('third', 3)} ${input('eighth', 8, EOI_BOTH)}`);
    assert.deepEqual(found, [8, 3]);
  });

  it('keep a level requested while it is asserted, an edge once', () => {
    const found = notes(`
      ${INITIALIZE()}
      ${out(0x4d0, 0x20)}
      in_port 0x4d0
      note eax
      gate 0x25, fifth
      xor edi, edi
      sti
      ${raise(5)} nop
      nop
      cli
      finish 0
      fifth: note 5
      inc edi
      cmp edi, 2
      jb 1f
      ${lower(5)}
      1: ${EOI}
      iret`);
    assert.deepEqual(found, [0x20, 5, 5]);
  });

  it('end by themselves in automatic mode', () => {
    const found = notes(`
      ${INITIALIZE(3)}
      gate 0x21, first
      gate 0x23, third
      sti
      ${raise(1)} nop
      cli
      ${out(0x20, 0x0b)}
      in_port 0x20
      note eax
      finish 0
      first: note 1
      ${raise(3)}
      sti
      nop
      note 2
      iret
      third: note 3
      iret`);
    assert.deepEqual(found, [1, 3, 2, 0]);
  });

  it('reach the processor only through an open LINT0', () => {
    const found = notes(`
      ${INITIALIZE()}
      gate 0x21, first
      apic 0xf0, 0x1ff
      apic 0x350, 0x10700
      sti
      ${raise(1)} nop
      note 2
      apic 0x350, 0x700
      nop
      cli
      finish 0
      ${input('first', 1)}`);
    assert.deepEqual(found, [2, 1]);
  });
});
