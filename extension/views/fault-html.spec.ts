/** The page that explains a fault, as text in the right places. */
import assert from 'node:assert/strict';
import type { FaultBody, WalkEntryBody } from '../../debug-adapter/protocol.ts';
import { faultHtml } from './fault-html.ts';

const entry = (name: string, refused = false): WalkEntryBody => ({
  name,
  gpa: '0x1000',
  hpa: '0x2000',
  value: '0x3025',
  flags: 'R U A',
  outcome: refused ? 'refused' : 'table',
  refused,
});

const FAULT: FaultBody = {
  title: '#PF page fault',
  headline: 'a write of <nobody> & co.',
  chain: [
    {
      name: '#PF',
      title: 'page fault',
      errorCode: '0x3',
      errorText: 'write',
      place: { rip: '0x401000', symbol: 'main+0x4', source: { path: '/a b/main.c', line: 7 } },
      cpl: 3,
      gva: '0x5000',
      failed: 'IDT limit 0x0: vector 14 is outside',
    },
  ],
  walk: {
    gva: '0x5000',
    access: 'write',
    user: true,
    paging: '4-level paging under EPT',
    levels: [
      { name: 'PML4E', entry: entry('PML4E'), ept: [entry('EPT PML4E'), entry('EPT PDPTE')] },
      { name: 'PTE', entry: entry('PTE', true), ept: [entry('EPT PML4E')] },
    ],
    result: 'page fault',
    ok: false,
    rights: [{ right: 'write', wanted: true, given: false, decidedBy: ['R/W: PTE is read-only'] }],
  },
  tlb: [],
  tlbSummary: 'nothing cached',
  controls: [{ name: 'CR0', value: '0x80010033', text: 'PG WP' }],
  text: [],
};

describe('the page that explains a fault', () => {
  const html = faultHtml(FAULT, 'dune.reveal');

  it('escapes what programs and paths contain, and runs no scripts', () => {
    assert.ok(html.includes('a write of &lt;nobody&gt; &amp; co.'));
    assert.ok(html.includes("default-src 'none'"));
    assert.doesNotMatch(html, /<script/);
  });

  it('links places in the source', () => {
    const args = encodeURIComponent(JSON.stringify(['/a b/main.c', 7, 1]));
    assert.ok(html.includes(`href="command:dune.reveal?${args}">main.c:7</a>`));
  });

  it('has a row for each guest level, a column for each of the EPT, and marks what refused', () => {
    const rows = html
      .match(/<table class="walk">.*<\/table>/s)![0]
      .split('</table>')[0]!
      .split('<tr>')
      .slice(1);
    assert.equal(rows.length, 3);
    for (const row of rows) assert.equal(row.match(/<t[dh]/g)!.length, 4);
    assert.match(rows[0]!, /guest entry.*EPT PML4E.*EPT PDPTE/);
    assert.doesNotMatch(rows[1]!, /class="refused"/);
    assert.match(rows[2]!, /class="refused".*<b>refused<\/b>/);
    assert.match(html, /write \(wanted\)<\/th><td class="refused">refused<\/td><td>R\/W: PTE is read-only/);
  });

  it('leaves out what there is nothing of', () => {
    const short = faultHtml({ ...FAULT, chain: [], walk: undefined, controls: [] }, 'dune.reveal');
    assert.doesNotMatch(short, /Walk|Rights|TLB|undefined/);
  });
});
