/** The local APIC as a kernel sees it (SDM 3A chapter 12; sections from there). */
import assert from 'node:assert/strict';
import { bootSource } from './board-test-support.ts';

const APIC_BASE = 0x1b;
const ENABLE = 'apic 0xf0, 0x1ff\n';
/** A handler that writes down its number and ends its interrupt. */
const handler = (name: string, number: number): string => `${name}: note ${number}\n apic 0xb0, 0\n iret\n`;
/** WRMSR of IA32_APIC_BASE with these mode bits: 800h xAPIC, C00h x2APIC, 0 off. */
const mode = (bits: number): string => `mov ecx, ${APIC_BASE}\n rdmsr\n and eax, ~0xc00\n or eax, ${bits}\n wrmsr\n`;
const readMsr = (msr: number): string => `mov ecx, ${msr}\n rdmsr\n`;
const writeMsr = (msr: number, low: number, high = 0): string =>
  `mov ecx, ${msr}\n mov eax, ${low}\n mov edx, ${high}\n wrmsr\n`;
const notes = (source: string, options = {}): number[] => bootSource(`main:\n${source}`, options).notes;

describe('the local APIC in xAPIC mode', () => {
  it('is as after a reset, with the 8259s on LINT0 and NMI on LINT1 as firmware leaves them', () => {
    const registers = [
      0x20, 0x30, 0x80, 0xa0, 0xd0, 0xe0, 0xf0, 0x320, 0x330, 0x350, 0x360, 0x370, 0x380, 0x390, 0x3e0,
    ];
    const read = registers.map((register) => `apic_read ${register}\n note eax\n`).join('');
    assert.deepEqual(
      notes(`${readMsr(APIC_BASE)} note eax\n ${read} finish 0`),
      [
        // Bootstrap processor, enabled, at its address.
        0xfee00900, 0, 0x01050014, 0, 0, 0, 0xffffffff, 0xff, 0x10000, 0x10000, 0x700, 0x400, 0x10000, 0, 0, 0,
      ],
    );
  });

  it('keeps what a register has of a write, and none of the rest (12.4.1)', () => {
    const found = notes(`
      apic 0xd0, 0xffffffff
      apic_read 0xd0
      note eax
      apic 0xe0, 0
      apic_read 0xe0
      note eax
      apic 0x80, 0xfffff
      apic_read 0x80
      note eax
      apic 0x3e0, 0xffffffff
      apic_read 0x3e0
      note eax
      apic 0x30, 0
      apic_read 0x30
      note eax
      finish 0`);
    assert.deepEqual(found, [0xff000000, 0x0fffffff, 0xff, 0xb, 0x01050014]);
  });

  it('delivers by priority: classes of the vector, TPR, what is in service (12.8)', () => {
    const found = notes(`
      ${ENABLE}
      gate 0x41, low
      gate 0x52, middle
      gate 0x93, high
      apic 0x80, 0x50          # TPR: class 5 and below wait
      apic 0x300, 0x40041      # self, fixed
      apic 0x300, 0x40052
      apic 0x300, 0x40093
      sti
      nop
      note 1
      apic_read 0x200 + 0x20   # IRR of vectors 40h to 5Fh
      note eax
      apic 0x80, 0             # now the others, the higher one first
      nop
      cli
      finish 0
      high: note 0x93
      apic_read 0xa0           # PPR: the class in service
      note eax
      apic_read 0x100 + 0x40   # ISR of vectors 80h to 9Fh
      note eax
      sti                      # nothing of a lower class comes
      nop
      nop
      note 2
      cli
      apic 0xb0, 0
      iret
      ${handler('middle', 0x52)} ${handler('low', 0x41)}`);
    assert.deepEqual(found, [0x93, 0x90, 1 << 0x13, 2, 1, (1 << 1) | (1 << 0x12), 0x52, 0x41]);
  });

  it('nests a higher class over a lower one', () => {
    const found = notes(`
      ${ENABLE}
      gate 0x41, outer
      gate 0x93, inner
      apic 0x300, 0x40041
      sti
      nop
      cli
      finish 0
      outer: note 1
      apic 0x300, 0x40093
      sti
      nop
      note 2
      cli
      apic 0xb0, 0
      iret
      ${handler('inner', 0x93)}`);
    assert.deepEqual(found, [1, 0x93, 2]);
  });

  it('reports illegal vectors and registers by ESR and the error interrupt (12.5.3)', () => {
    const found = notes(`
      ${ENABLE}
      gate 0x60, error
      apic 0x370, 0x60
      apic 0x280, 0
      sti
      apic 0x300, 0x40005      # a vector below 16: sent, and received
      nop
      apic_read 0x10           # no register
      nop
      cli
      finish 0
      error: apic 0x280, 0
      apic_read 0x280
      note eax
      apic 0xb0, 0
      iret`);
    assert.deepEqual(
      found.reduce((all, one) => all | one, 0),
      0xe0,
    );
    assert.equal(found.at(-1), 0x80);
  });

  it('masks its vector table and takes nothing while software has disabled it (12.4.7.2)', () => {
    const found = notes(`
      ${ENABLE}
      apic 0x320, 0x40
      apic 0x3e0, 0xb
      apic 0xf0, 0xff
      apic_read 0x320
      note eax
      apic 0x320, 0x41
      apic_read 0x320
      note eax
      apic 0x300, 0x40055
      apic_read 0x220
      note eax
      finish 0`);
    assert.deepEqual(found, [0x10040, 0x10041, 0]);
  });

  it('loses its state when it is turned off (12.4.3)', () => {
    const found = notes(`
      ${ENABLE} apic 0x80, 0x20
      ${mode(0)}
      apic_read 0x80
      note eax
      ${mode(0x800)}
      apic_read 0x80
      note eax
      apic_read 0xf0
      note eax
      finish 0`);
    assert.deepEqual(found, [0xffffffff, 0, 0xff]);
  });
});

describe("the local APIC's timer", () => {
  const timer = (lvt: number, divide: number, count: number): string =>
    `${ENABLE} gate 0x40, tick\n apic 0x3e0, ${divide}\n apic 0x320, ${lvt}\n apic 0x380, ${count}\n`;

  it('counts down once, by the divider (12.5.4)', () => {
    // Divide by 16, and by 1.
    for (const [divide, by] of [
      [3, 16],
      [0xb, 1],
    ] as const) {
      const [before, counted, after, current] = notes(`
        ${timer(0x40, divide, 10_000)}
        rdtsc
        note eax
        sti
        hlt
        cli
        rdtsc
        note eax
        apic_read 0x390
        note eax
        wait_cycles ${30_000 * by}
        sti
        nop
        cli
        finish 0
        ${handler('tick', 1)}`);
      assert.equal(counted, 1);
      const elapsed = (after! - before!) >>> 0;
      assert.ok(elapsed >= 9_900 * by && elapsed < 10_000 * by + 2_000, `${elapsed} cycles divided by ${by}`);
      assert.equal(current, 0);
    }
  });

  it('begins again by itself when it is periodic, and stops at a count of 0', () => {
    const found = notes(`
      ${timer(0x20040, 0xb, 20_000)}
      rdtsc
      mov edi, eax
      sti
      hlt
      hlt
      hlt
      cli
      rdtsc
      sub eax, edi
      note eax
      apic 0x380, 0
      wait_cycles 50000
      sti
      nop
      cli
      finish 0
      ${handler('tick', 1)}`);
    assert.deepEqual(found.slice(0, 3), [1, 1, 1]);
    assert.equal(found.length, 4);
    assert.ok(found[3]! >= 58_000 && found[3]! < 63_000, `${found[3]} cycles for three periods of 20,000`);
  });

  it('fires at a time-stamp, and disarms itself (12.5.4.1)', () => {
    const found = notes(`
      ${ENABLE} gate 0x40, tick
      apic 0x320, 0x40040
      apic 0x380, 1000         # no count in this mode
      apic_read 0x380
      note eax
      rdtsc
      add eax, 50000
      adc edx, 0
      mov edi, eax
      mov ecx, 0x6e0
      wrmsr
      rdmsr
      sub eax, edi
      note eax
      sti
      hlt
      cli
      rdtsc
      sub eax, edi
      note eax                 # not before
      ${readMsr(0x6e0)} note eax
      note edx
      # A time that has gone fires at once; another mode disarms.
      ${writeMsr(0x6e0, 1)}
      sti
      nop
      cli
      ${writeMsr(0x6e0, 0, 1)}
      apic 0x320, 0x40
      apic 0x320, 0x40040
      ${readMsr(0x6e0)} note edx
      finish 0
      ${handler('tick', 0x40)}`);
    const [count, armed, tick, late, low, high, again, disarmed] = found;
    assert.deepEqual([count, armed, tick, low, high, again, disarmed], [0, 0, 0x40, 0, 0, 0x40, 0]);
    assert.ok(late! >>> 0 < 2_000, `${late} cycles after its time`);
    assert.equal(found.length, 8);
  });

  it('says nothing while it is masked, and its count goes on', () => {
    const found = notes(`
      ${timer(0x10040, 0xb, 100_000)}
      sti
      wait_cycles 20000
      apic_read 0x390
      note eax
      wait_cycles 200000
      cli
      finish 0
      ${handler('tick', 1)}`);
    assert.equal(found.length, 1);
    assert.ok(found[0]! > 60_000 && found[0]! <= 80_000, `${found[0]} left of 100,000`);
  });
});

describe('the local APIC in x2APIC mode', () => {
  const GP = 'gate 13, refused\n';
  /** Skips the 2-byte instruction at fault. */
  const REFUSED = 'refused: note 13\n add esp, 4\n add dword ptr [esp], 2\n iret\n';

  it('is reached by MSRs and no more in memory (12.12.1)', () => {
    const found = notes(`
      ${mode(0xc00)}
      ${readMsr(0x802)} note eax
      ${readMsr(0x803)} note eax
      ${readMsr(0x80d)} note eax
      apic_read 0x30
      note eax
      ${writeMsr(0x80f, 0x1ff)} ${readMsr(0x80f)} note eax
      finish 0`);
    assert.deepEqual(found, [0, 0x01050014, 1, 0xffffffff, 0x1ff]);
  });

  it('goes from x2APIC to off and from there to xAPIC, no other way (12.12.5)', () => {
    const found = notes(`
      ${GP} ${mode(0xc00)}
      ${mode(0x800)} ${mode(0x400)}
      ${readMsr(APIC_BASE)} note eax
      ${mode(0)} ${mode(0xc00)} ${mode(0x800)}
      ${readMsr(APIC_BASE)} note eax
      finish 0
      ${REFUSED}`);
    assert.deepEqual(found, [13, 13, 0xfee00d00, 13, 0xfee00900]);
  });

  it('refuses reserved bits, and registers that are not there or only read (12.12.1.3)', () => {
    const cases = [
      writeMsr(0x80f, 0x10000),
      writeMsr(0x808, 0x100),
      writeMsr(0x80b, 1),
      writeMsr(0x802, 0),
      writeMsr(0x83f, 0x1ff),
      writeMsr(0x832, 0x80000),
      readMsr(0x80b),
      readMsr(0x80e),
      readMsr(0x83f),
      readMsr(0x831),
    ];
    const found = notes(`${GP} ${mode(0xc00)} ${cases.join('')} finish 0\n ${REFUSED}`);
    assert.deepEqual(
      found,
      cases.map(() => 13),
    );
  });

  it('sends to itself by SELF IPI and by one write of ICR', () => {
    const found = notes(`
      gate 0x41, first
      gate 0x42, second
      ${mode(0xc00)} ${writeMsr(0x80f, 0x1ff)}
      sti
      ${writeMsr(0x83f, 0x41)}
      nop
      ${writeMsr(0x830, 0x42, 0)}
      nop
      ${readMsr(0x830)} note eax
      cli
      finish 0
      first: note 0x41
      ${writeMsr(0x80b, 0)} iret
      second: note 0x42
      ${writeMsr(0x80b, 0)} iret`);
    assert.deepEqual(found, [0x41, 0x42, 0x42]);
  });
});
