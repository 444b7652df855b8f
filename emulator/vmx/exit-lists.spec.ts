import assert from 'node:assert/strict';
import { Primary, Secondary } from './controls.ts';
import { type ExitList, exitLists } from './exit-lists.ts';
import { Field } from './fields.ts';
import { MSR_BITMAP, type VmxMachine, createVmxMachine } from './vmx-test-support.ts';
import { CurrentVmcs } from './vmcs.ts';
import { wouldExit } from './would-exit.ts';

const BITMAPS = 0x120000;

describe('what exits, as lists', () => {
  let m: VmxMachine;
  beforeEach(() => {
    m = createVmxMachine('guest: vmcall\n host: hlt');
  });

  const list = (id: string): ExitList =>
    exitLists(m.context, new CurrentVmcs(m.context.mem)).find((one) => one.id === id)!;
  const texts = (id: string): string[] => list(id).rows.map(({ text }) => text);
  const exiting = (id: string): string[] => list(id).rows.flatMap(({ text, exits }) => (exits ? text : []));
  function control(field: number, bits: number): void {
    m.set(field, (Number(m.field(field)) | bits) >>> 0);
  }
  /** Sets a bit of a bitmap in memory. */
  function mark(page: number, ...bits: number[]): void {
    const { physical } = m.context;
    for (const bit of bits)
      physical.write(page + (bit >> 3), Uint8Array.of(physical.slice(page + (bit >> 3), 1)[0]! | (1 << (bit & 7))));
  }

  it('ranges of MSRs, with the names of those that exist', () => {
    mark(MSR_BITMAP, 0x2100, 0x2101, 0x2102, 0x10, 0x4010 + 0x2000);
    assert.deepEqual(exiting('rdmsr'), [
      'reads of 0x10 (TSC) exit',
      'reads of 0xc0000100–0xc0000102 (FS_BASE, GS_BASE, KERNEL_GS_BASE) exit',
      'reads of every other MSR exit',
    ]); // prettier-ignore
    assert.deepEqual(exiting('wrmsr'), [
      'writes of 0xc0000010 exit',
      'writes of every other MSR exit',
    ]); // prettier-ignore
    assert.equal(list('rdmsr').because, '"use MSR bitmaps" is 1');
    m.set(Field.primaryControls, Number(m.field(Field.primaryControls)) & ~Primary.MsrBitmaps & 0xffff_ffff);
    assert.equal(list('rdmsr').inEffect, false);
    assert.deepEqual(texts('rdmsr'), ['reads of every MSR exit']);
  });

  it('ranges of ports', () => {
    assert.deepEqual(texts('io'), ['every port is used without an exit']);
    assert.equal(list('io').because, '"use I/O bitmaps" is 0: "unconditional I/O exiting" decides, which is 0');
    control(Field.primaryControls, Primary.IoBitmaps);
    m.set(Field.ioBitmapA, BITMAPS);
    m.set(Field.ioBitmapB, BITMAPS + 0x1000);
    mark(BITMAPS, 0x60, 0x3f8, 0x3f9, 0x7fff);
    mark(BITMAPS + 0x1000, 0);
    assert.deepEqual(exiting('io'), [
      'port 0x0060 exits',
      'ports 0x03f8–0x03f9 exit',
      'ports 0x7fff–0x8000 exit',
      'an access that goes on past port 0xffff exits',
    ]); // prettier-ignore
  });

  it('exceptions by name, page faults by mask and match', () => {
    const fault = (bitmap: number, mask: number, match: number): string => {
      m.set(Field.exceptionBitmap, bitmap);
      m.set(Field.pageFaultErrorCodeMask, mask);
      m.set(Field.pageFaultErrorCodeMatch, match);
      return texts('exceptions').find((text) => text.startsWith('#PF'))!;
    };
    assert.equal(fault(1 << 14, 0, 0), '#PF (vector 14) exits (mask 0x0, match 0x0)');
    assert.equal(fault(0, 0, 0), '#PF (vector 14) does not exit (mask 0x0, match 0x0)');
    assert.equal(fault(1 << 14, 3, 1), '#PF (vector 14) exits if its error code has P=1, W=0 (mask 0x3, match 0x1)');
    assert.equal(fault(0, 4, 4), '#PF (vector 14) exits unless its error code has U=1 (mask 0x4, match 0x4)');
    assert.match(fault(1 << 14, 0, 1), /does not exit: no error code can match/);
    assert.match(fault(0, 0, 1), /exits: no error code can match/);
    // What the words say is what is answered.
    for (const [bitmap, mask, match] of [[1 << 14, 3, 1], [0, 4, 4], [1 << 14, 0, 1], [0, 0, 1]] as const) {
      const words = fault(bitmap, mask, match);
      for (let errorCode = 0; errorCode < 8; errorCode++) {
        const matches = (errorCode & mask) === match;
        const expected = / unless /.test(words) ? !matches : / if /.test(words) ? matches : !/does not/.test(words);
        assert.equal(wouldExit(m.context, { kind: 'exception', vector: 14, errorCode }).exits, expected, words);
      }
    } // prettier-ignore
    m.set(Field.exceptionBitmap, 0x40);
    assert.ok(texts('exceptions').includes('#UD (vector 6) exits'));
    assert.ok(texts('exceptions').includes('#GP (vector 13) does not exit'));
    assert.ok(texts('exceptions').includes('NMI exits: "NMI exiting" is 1'));
  });

  it('host-owned bits and CR3 targets', () => {
    m.set(Field.cr0Mask, 0x8000_0008n);
    m.set(Field.cr0Shadow, 0x8000_0000n);
    assert.deepEqual(texts('cr0'), [
      'TS: reads as 0, writing 1 exits',
      'PG: reads as 1, writing 0 exits',
      "every other bit is the guest's own",
    ]);
    assert.deepEqual(texts('cr3'), ['no value exits']);
    control(Field.primaryControls, Primary.Cr3LoadExiting);
    m.set(Field.cr3TargetCount, 1);
    m.set(Field.cr3Target0, 0x5000);
    assert.deepEqual(texts('cr3'), ['0x5000 does not exit', 'every other value exits']);
  });

  it('fields that are shadowed, XSS components, virtual interrupts', () => {
    assert.deepEqual(texts('vmread'), ['VMREAD of every encoding exits']);
    control(Field.secondaryControls, Secondary.VmcsShadowing | Secondary.Xsaves | Secondary.VirtualInterruptDelivery);
    m.set(Field.vmreadBitmap, BITMAPS);
    m.context.physical.fill(BITMAPS, 4096, 0xff);
    const clear = (encoding: number): void => {
      const at = BITMAPS + (encoding >> 3);
      m.context.physical.write(at, Uint8Array.of(m.context.physical.slice(at, 1)[0]! & ~(1 << (encoding & 7))));
    };
    clear(Field.guestRip);
    clear(Field.tscOffset + 1);
    clear(0x7ffe);
    assert.deepEqual(texts('vmread'), [
      'TSC offset (high half) does not exit',
      'guest RIP does not exit',
      '1 encodings without a field do not exit',
      'VMREAD of every other encoding exits',
    ]);
    m.set(Field.xssExitingBitmap, 0x900);
    assert.deepEqual(texts('xss'), [
      'component 8 (PT) exits',
      'component 11 (CET_U) exits',
      'no other component exits',
    ]);
    m.set(Field.eoiExitBitmap1, 3);
    assert.deepEqual(exiting('eoi'), ['EOI of vectors 0x40–0x41 exits']);
  });
});
