/** What the debugger says of faults, stale TLB entries and the TLB, in bare kernels and Dune programs. */
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import type { FaultBody, FaultResponse, TlbEntryResponse, TlbResponse } from '../../debug-adapter/protocol.ts';
import { buildExamples, example } from '../dune/support.ts';
import { type FaultCase, FAULTS_SOURCE, faultKernel } from '../machine/faults.ts';
import { TestClient } from './client.ts';

const WINDOW = '0x40000000000';

function lineOf(text: string): number {
  return (
    readFileSync(FAULTS_SOURCE, 'utf8')
      .split('\n')
      .findIndex((line) => line.includes(text)) + 1
  );
}

describe('faults in the debugger', () => {
  let client: TestClient;
  before(() => buildExamples());
  beforeEach(() => {
    client = new TestClient();
  });
  afterEach(() => client.close());

  const boot = (name: FaultCase, filter: string): Promise<unknown> =>
    client.launch({ program: faultKernel(name), machine: 'bare', memory: 64 }, (one) =>
      one.request('setExceptionBreakpoints', { filters: [filter] }),
    );
  const fault = async (): Promise<FaultBody> => {
    const answer = await client.request<FaultResponse>('dune/fault');
    assert.ok(answer.fault, answer.message);
    return answer.fault;
  };
  const text = async (threadId: number): Promise<string> => {
    const info = await client.request<{ description: string; details: { stackTrace: string } }>('exceptionInfo', {
      threadId,
    });
    return `${info.description}\n${info.details.stackTrace}`;
  };

  it('a triple fault stops with the chain of faults and their places in the source', async () => {
    await boot('broken-idt', 'abnormal');
    const { threadId } = await client.stopped();
    const { title, chain, walk, controls } = await fault();
    assert.equal(title, 'triple fault');
    assert.deepEqual(
      chain.map(({ name }) => name),
      ['#PF', '#GP', '#DF', '#GP'],
    );
    for (const { place, cpl } of chain) {
      assert.match(place.symbol!, /^(look|broken_idt)/);
      assert.equal(place.source?.path, FAULTS_SOURCE);
      assert.equal(place.source.line, lineOf('return *(volatile uint64_t *)WINDOW;'));
      assert.equal(cpl, 0);
    }
    assert.match(chain[0]!.failed!, /gate/i);
    assert.equal(chain[1]!.errorText, 'IDT entry 14, met while delivering an event');
    assert.equal(walk!.gva, WINDOW);
    assert.deepEqual(
      walk!.levels.map(({ name, entry }) => [name, entry?.refused]),
      [['PML4E', true]],
    );
    assert.deepEqual(
      controls.map(({ name }) => name),
      ['CR0', 'CR3', 'CR4', 'EFER', 'RFLAGS'],
    );
    assert.match(await text(threadId), /triple fault[^]*#PF[^]*PML4E is not present/);
    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), 134);
  });

  it('a page fault says in short what refused it', async () => {
    await boot('smap-access', 'page-fault');
    const { threadId } = await client.stopped();
    const said = await text(threadId);
    assert.match(said, /^#PF\(0x1\) the page is present, its rights refuse, read, supervisor mode/m);
    assert.match(said, /rights wanted: read; given: execute \(no read: SMAP: a user page/);
    assert.match(said, /TLB: no cached translation of the page in this context/);
  });

  it('a stale TLB entry stops the access, and the TLB shows it', async () => {
    await boot('missing-invlpg', 'stale-tlb');
    const { threadId, description } = await client.stopped();
    assert.equal(description, 'Stale TLB entry used');
    assert.equal((await client.frames(threadId))[0]!.line, lineOf('return *(volatile uint64_t *)WINDOW;'));
    const { tlb, tlbSummary } = await fault();
    const [cached] = tlb;
    assert.deepEqual(cached!.missing, [`INVLPG ${WINDOW}`, 'MOV to CR3 with bit 63 clear']);
    assert.equal(cached!.change!.place.symbol!.replace(/\+.*/, ''), 'missing_invlpg');
    assert.equal(cached!.change!.place.source?.line, lineOf('table[0] = (uint64_t)two'));
    assert.match(tlbSummary, /the entry serves this access/);
    assert.match(await text(threadId), /stale: cached .*\nchanged by the instruction at 0x/);

    const all = await client.request<TlbResponse>('dune/tlb', {});
    const [bank] = all.banks.filter(({ current }) => current);
    assert.equal(bank!.stale, 1);
    assert.match(bank!.tags, /^CPU 0, CR3 0x[0-9a-f]+, ring 0/);
    assert.deepEqual(all.entries, []);
    const some = await client.request<TlbResponse>('dune/tlb', { bank: bank!.bank, count: 2 });
    assert.equal(some.entries.length, 2);
    const stale = await client.request<TlbResponse>('dune/tlb', { bank: bank!.bank, filter: 'stale' });
    assert.deepEqual(
      stale.entries.map(({ gva, rights, pageSize, differences }) => [gva, rights, pageSize, differences]),
      [[WINDOW, 'R X', '4 KB', ['page']]],
    );
    const by = await client.request<TlbResponse>('dune/tlb', {
      bank: bank!.bank,
      filter: `gva:${WINDOW} R cpu=0 pcid=0`,
    });
    assert.equal(by.entries.length, 1);
    const { index } = stale.entries[0]!;
    const details = await client.request<TlbEntryResponse>('dune/tlbEntry', { bank: bank!.bank, index });
    assert.equal(details.walk.steps.length, 4);
    assert.equal(details.changed, 'guest');
    const refused = await client.send('dune/tlb', { filter: 'rubbish' });
    assert.match(refused.message ?? '', /'rubbish' is no filter/);

    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), 22);
  });

  it('finds the missing INVPCID of a Dune program', async () => {
    await client.launch({ program: example('pcid') }, (one) =>
      one.request('setExceptionBreakpoints', { filters: ['stale-tlb'] }),
    );
    const { threadId } = await client.stopped();
    assert.equal((await client.frames(threadId))[0]!.name, 'look');
    const { tlb } = await fault();
    const here = tlb.find(({ current }) => current)!;
    assert.match(here.tags, /EPTP 0x[0-9a-f]+, VPID \d+, PCID 1/);
    assert.equal(here.change!.place.source?.path.endsWith('pcid.c'), true);
    await client.request('continue', { threadId });
    assert.equal(await client.exitCode(), 0);
  });

  it('explains the EPT violation of a Dune program, level by level', async () => {
    await client.launch({ program: example('ept-violation') }, (one) =>
      one.request('setExceptionBreakpoints', { filters: ['abnormal'] }),
    );
    const { threadId } = await client.stopped();
    const lines = (await text(threadId)).split('\n');
    assert.equal(lines.filter((line) => line.includes('EPT violation: ring 0 read')).length, 1, 'said once');
    const { title, walk, advice } = await fault();
    assert.equal(title, 'EPT violation');
    assert.deepEqual(
      walk!.levels.map(({ name, ept }) => [name, ept.some(({ refused }) => refused)]),
      [
        ['PML4E', false],
        ['PDPTE', false],
        ['PDE', false],
        ['PTE', false],
        ['page', true],
      ],
    );
    assert.match(advice!, /dune_vm_mprotect/);
  });

  it('says when there is nothing to explain', async () => {
    await client.launch({ program: example('hello') }, (one) =>
      one.request('setFunctionBreakpoints', { breakpoints: [{ name: 'main' }] }),
    );
    await client.stopped();
    assert.deepEqual(await client.request<FaultResponse>('dune/fault'), {
      message: 'The program did not stop because of a fault.',
    });
  });
});
