import assert from 'node:assert/strict';
import { availableVariants, build, run, symbolsOf } from '../testdata/build.ts';
import { registerName } from './registers.ts';
import { unwindRow, type RegisterRule, type UnwindRow } from './frame-program.ts';

const COLUMNS: Readonly<Record<string, number>> = {
  rax: 0,
  rdx: 1,
  rcx: 2,
  rbx: 3,
  rsi: 4,
  rdi: 5,
  rbp: 6,
  rsp: 7,
  r8: 8,
  r9: 9,
  r10: 10,
  r11: 11,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
  ra: 16,
};
const NAMES = [...Array.from({ length: 16 }, (_, number) => registerName(number)!), 'ra'];

function ruleText(rule: RegisterRule | undefined): string {
  if (!rule || rule.kind === 'undefined') return 'u';
  if (rule.kind === 'offset') return `c${rule.offset < 0 ? '' : '+'}${rule.offset}`;
  if (rule.kind === 'value-offset') return `v${rule.offset < 0 ? '' : '+'}${rule.offset}`;
  if (rule.kind === 'same') return 's';
  if (rule.kind === 'register') return `r${rule.register}`;
  return rule.kind === 'expression' ? 'exp' : 'vexp';
}
function cfaText(row: UnwindRow): string {
  if (!row.cfa) return '';
  return row.cfa.kind === 'expression'
    ? 'exp'
    : `${NAMES[row.cfa.register]}${row.cfa.offset < 0 ? '' : '+'}${row.cfa.offset}`;
}

describe('call frame information', () => {
  const programs = [
    ...availableVariants().map(({ compiler, flags }) => ({ compiler, sources: ['inline.c'], flags })),
    { compiler: 'gcc', sources: ['values.c', 'snapshot.S'], flags: ['-O2', '-static'] },
  ];
  for (const { compiler, sources, flags } of programs) {
    it(`agrees with readelf: ${compiler} ${flags.join(' ')}`, () => {
      const path = build(compiler, sources, flags);
      const { frames } = symbolsOf(path);
      let rows = 0;
      let columns: string[] = [];
      for (const line of run('readelf', ['-W', '--debug-dump=frames-interp', path]).split('\n')) {
        if (/ CIE /.test(line)) columns = [];
        const found = /^([0-9a-f]{16}) (.*)$/.exec(line);
        if (/^\s*LOC /.test(line)) columns = line.trim().split(/\s+/).slice(2);
        if (!found || / FDE | CIE /.test(line) || columns.length === 0) continue;
        const address = parseInt(found[1]!, 16);
        const description = address === 0 ? undefined : frames.at(address);
        if (!description) continue;
        const [cfa, ...rules] = found[2]!
          .replace(/ \(\S+\)/g, '')
          .trim()
          .split(/\s+/);
        const row = unwindRow(description, address);
        rows++;
        assert.equal(cfaText(row), cfa, `CFA at 0x${found[1]}`);
        columns.forEach((name, index) => {
          assert.equal(ruleText(row.rules.get(COLUMNS[name]!)), rules[index], `${name} at 0x${found[1]}`);
        });
      }
      assert.ok(rows > 10, `${rows} rows compared`);
    });
  }
});
