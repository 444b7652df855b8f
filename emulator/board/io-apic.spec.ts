/** The I/O APIC as a kernel sees it (82093AA data sheet, 3.2): ports 2000h + n raise and lower input n. */
import assert from 'node:assert/strict';
import { bootSource } from './board-test-support.ts';

const raise = (input: number): string => `port ${0x2000 + input}, 1\n`;
const lower = (input: number): string => `port ${0x2000 + input}, 0\n`;
/** Redirection entry of an input. */
const route = (input: number, low: number, high = 0): string =>
  `ioapic ${0x11 + input * 2}, ${high}\n ioapic ${0x10 + input * 2}, ${low}\n`;
const ENABLE = 'apic 0xf0, 0x1ff\n mov al, 0xff\n out 0x21, al\n out 0xa1, al\n';
const notes = (source: string): number[] => bootSource(`main:\n${ENABLE} gate 0x50, arrived\n${source}`).notes;
const ARRIVED = 'arrived: note 1\n apic 0xb0, 0\n iret\n';
const LEVEL = 0x8000;
const MASKED = 0x10000;

describe('the I/O APIC', () => {
  it('has 24 inputs, all masked, and an ID', () => {
    const found = notes(`
      ioapic_read 0
      note eax
      ioapic_read 1
      note eax
      ioapic_read 0x10
      note eax
      ioapic_read 0x3f
      note eax
      ioapic 0, 0xffffffff
      ioapic_read 0
      note eax
      ioapic_read 2
      note eax
      finish 0
      ${ARRIVED}`);
    assert.deepEqual(found, [0, 0x170020, MASKED, 0, 0x0f000000, 0x0f000000]);
  });

  it('keeps of an entry what can be written', () => {
    const found = notes(`
      ioapic 0x14, 0xffffffff
      ioapic 0x15, 0xffffffff
      ioapic_read 0x14
      note eax
      ioapic_read 0x15
      note eax
      finish 0
      ${ARRIVED}`);
    assert.deepEqual(found, [0x1afff, 0xff000000]);
  });

  it('delivers an edge once', () => {
    const found =
      notes(`${route(5, 0x50)} sti\n ${raise(5)} nop\n ${raise(5)} nop\n ${lower(5)} nop\n note 2\n ${raise(5)} nop
      cli\n finish 0\n ${ARRIVED}`);
    assert.deepEqual(found, [1, 2, 1]);
  });

  it('delivers a level again after EOI while it is asserted, with the remote IRR in between', () => {
    const found = notes(
      `
      ${route(5, 0x50 | LEVEL)}
      sti
      ${raise(5)}
      nop
      nop
      cli
      ioapic_read 0x1a
      note eax
      finish 0
      arrived: ioapic_read 0x1a
      note eax
      inc edi
      cmp edi, 3
      jb 1f
      ${lower(5)}
      1: apic 0xb0, 0
      iret`.replace('sti', 'xor edi, edi\n sti'),
    );
    assert.deepEqual(found, [0xc050, 0xc050, 0xc050, 0x8050]);
  });

  it('holds a masked level back until it is open, and loses a masked edge', () => {
    const found = notes(`
      ${route(5, 0x50 | LEVEL | MASKED)} ${route(6, 0x50 | MASKED)}
      sti
      ${raise(5)} ${raise(6)}
      nop
      note 2
      ioapic 0x1c, 0x50
      nop
      note 3
      ioapic 0x1a, ${0x50 | LEVEL}
      nop
      cli
      finish 0
      arrived: note 1
      ${lower(5)}
      apic 0xb0, 0
      iret`);
    assert.deepEqual(found, [2, 3, 1]);
  });

  it('takes the EOI register of its own, and no broadcast that software suppresses', () => {
    const found = notes(`
      apic 0xf0, 0x11ff        # EOI broadcasts off
      ${route(5, 0x50 | LEVEL)}
      sti
      ${raise(5)}
      nop
      ioapic_read 0x1a
      note eax
      mov dword ptr ds:[0xfec00040], 0x50
      nop
      cli
      finish 0
      arrived: note 1
      apic 0xb0, 0
      iret`);
    assert.deepEqual(found, [1, 0xc050, 1]);
  });

  it('sends to logical destinations, and by NMI and ExtINT no vector', () => {
    const found = notes(`
      gate 2, nmi
      apic 0xd0, 0x02000000
      ${route(5, 0x850, 0x02000000)} ${route(6, 0x850, 0x04000000)} ${route(7, 0x450)}
      sti
      ${raise(5)} nop
      ${raise(6)} nop
      ${raise(7)} nop
      cli
      finish 0
      nmi: note 2
      iret
      ${ARRIVED}`);
    assert.deepEqual(found, [1, 2]);
  });
});
