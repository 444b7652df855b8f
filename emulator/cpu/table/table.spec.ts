import assert from 'node:assert/strict';
import { semantics } from '../semantics/index.ts';
import { enumerateForms } from './forms.ts';
import { table } from './index.ts';

/** Decoded, and refused with #UD until core/ has the transcendental functions. */
const WITHOUT_MEANING = /^(f2xm1|fyl2x|fyl2xp1|fptan|fpatan|fsin|fcos|fsincos)$/;

const key = ({ encoding, prefix, invalid64, only64, operands, vex, w }: (typeof table)[number]) =>
  [
    encoding,
    prefix,
    invalid64 && 'legacy',
    only64 && '64',
    operands?.some((code) => code.startsWith('M')) && 'm',
    operands?.some((code) => code.startsWith('U')) && 'r',
    vex,
    w,
  ].join();

describe('instruction table', () => {
  it('gives every row of 64-bit mode a meaning', () => {
    const missing = table
      .filter((row) => !row.system && !row.invalid64 && !semantics.has(row.op) && !WITHOUT_MEANING.test(row.op))
      .map((row) => row.op);
    assert.deepEqual(missing, []);
  });

  it('has a row for every meaning', () => {
    const ops = new Set(table.map((row) => row.op));
    assert.deepEqual(
      [...semantics.keys()].filter((op) => !ops.has(op)),
      [],
    );
  });

  it('has no two rows for the same bytes', () => {
    const seen = new Map<string, string>();
    for (const row of table) {
      const previous = seen.get(key(row));
      assert.ok(
        previous === undefined || row.operands?.[0] === 'Ry' || row.operands?.[1] === 'Ry',
        `${row.op} and ${previous}: ${row.encoding}`,
      );
      seen.set(key(row), row.op);
    }
  });

  it('ends the block after every system instruction', () => {
    const without = table.filter((row) => row.system && row.branch !== 'system').map((row) => row.op);
    assert.deepEqual(without, []);
  });

  it('makes forms with distinct keys and an object for each operand', () => {
    const forms = enumerateForms(table);
    assert.equal(new Set(forms.map((form) => form.key)).size, forms.length);
    for (const form of forms) assert.equal(new Set(form.operands).size, form.operands.length, form.key);
  });
});
