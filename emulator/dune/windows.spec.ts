import assert from 'node:assert/strict';
import fc from 'fast-check';
import { GIGABYTE, MAP_WINDOW, gpaRanges, gpaToHva, hvaOfGpa, hvaToGpa, layoutOf, windowOfHva } from './windows.ts';

describe('dune windows', () => {
  const layout = layoutOf(46, 0x7fff_f7ff_f000, 0x7fff_ffff_e000);

  it('are placed under the next gigabyte boundary, as a published trace has it', () => {
    const published = layoutOf(40, 0x7f71_4000_0000, 0x7ffe_7fff_f000);
    assert.equal(published.physLimit, 0x100_0000_0000n);
    assert.equal(published.baseMap, 0x7f61_8000_0000n);
    assert.equal(published.baseStack, 0x7ffe_4000_0000n);
  });

  it('translate the identity, map and stack parts', () => {
    const top = 1n << 46n;
    assert.equal(gpaToHva(layout, 0x40_1000n), 0x40_1000n);
    assert.equal(gpaToHva(layout, top - 64n * GIGABYTE), layout.baseMap);
    assert.equal(gpaToHva(layout, top - GIGABYTE), layout.baseStack);
    assert.equal(gpaToHva(layout, top), undefined);
    assert.equal(hvaToGpa(layout, layout.baseStack + 8n), top - GIGABYTE + 8n);
  });

  it('have no place for a position-independent image', () => {
    assert.equal(windowOfHva(layout, 0x5555_5555_4000n), undefined);
    assert.equal(hvaToGpa(layout, 0x5555_5555_4000n), undefined);
  });

  it('prefer the stack window where both hold an address', () => {
    assert.equal(layout.baseMap + MAP_WINDOW > layout.baseStack, true);
    assert.equal(windowOfHva(layout, layout.baseStack)?.name, 'stack');
  });

  it('leave no identity window with 36 bits: the low heap is taken for the map window', () => {
    const small = layoutOf(36, 0x7fcd_4099_3000, 0x7ffe_7fff_f000);
    assert.equal(gpaToHva(small, 0x99_3000n), small.baseMap + 0x99_3000n);
  });

  it('go back and forth to the same address while the low window ends below the others', () => {
    fc.assert(
      fc.property(fc.integer({ min: 37, max: 46 }), fc.bigInt(0n, (1n << 47n) - 1n), (bits, gpa) => {
        const any = layoutOf(bits, 0x7f00_0000_0000, 0x7fff_ffff_e000);
        const hva = gpaToHva(any, gpa);
        assert.equal(hvaOfGpa(any, Number(gpa)), Number(hva ?? -1n));
        if (gpa >= any.physLimit) assert.equal(hva, undefined);
        else assert.equal(hvaToGpa(any, hva!), gpa);
      }),
    );
  });

  it('give every GPA range behind an HVA range', () => {
    const ranges = gpaRanges(layout, layout.baseStack - 0x1000n, layout.baseStack + 0x1000n);
    assert.equal(ranges.length, 2);
    assert.deepEqual(
      ranges.map((range) => range.end - range.start),
      [0x1000n, 0x2000n],
    );
  });
});
