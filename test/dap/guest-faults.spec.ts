/** What the debugger says of faults of a guest: of a bare hypervisor's, through both levels of tables, and of a Dune program's whose EPT the user has spoilt. */
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import type { FaultBody, FaultResponse, VmcsResponse, WalkResponse } from '../../debug-adapter/protocol.ts';
import { buildExamples, example } from '../dune/support.ts';
import { type GuestFaultCase, GUEST_SOURCE, guestFaultKernel } from '../machine/guest-faults.ts';
import { TestClient } from './client.ts';

const WINDOW = '0x40000000000';
const NOWHERE = '0x1100000';
const SPOILED = '0x1000000';
const FOUR_LEVELS = ['PML4E', 'PDPTE', 'PDE', 'PTE'];
const EPT_LEVELS = FOUR_LEVELS.map((name) => `EPT ${name}`);
/** Of a page of 2 MB. */
const LARGE_LEVELS = ['PML4E', 'PDPTE', 'PDE', 'page'];
const HELLO = `${example('hello')}.c`;

const guestLine = (text: string): number =>
  readFileSync(GUEST_SOURCE, 'utf8')
    .split('\n')
    .findIndex((line) => line.includes(text)) + 1;

describe('faults of guests in the debugger', () => {
  let client: TestClient;
  let threadId: number;
  before(() => buildExamples());
  beforeEach(() => {
    client = new TestClient();
  });
  afterEach(() => client.close());

  /** Runs to an event of the guest. */
  async function boot(name: GuestFaultCase, filterId: string, condition?: string): Promise<void> {
    const { kernel, guest } = guestFaultKernel(name);
    await client.launch({ program: kernel, machine: 'bare', memory: 64, guestSymbols: [guest] }, (one) =>
      one.request('setExceptionBreakpoints', { filterOptions: [{ filterId, condition }] }),
    );
    ({ threadId } = await client.stopped());
  }
  const fault = async (): Promise<FaultBody> => {
    const answer = await client.request<FaultResponse>('dune/fault');
    assert.ok(answer.fault, answer.message);
    return answer.fault;
  };
  const exitField = async (encoding: number): Promise<{ value: string; text?: string }> => {
    const { fields } = await client.request<VmcsResponse>('dune/vmcs', { threadId });
    return fields.find((one) => one.encoding === encoding)!;
  };
  const inForce = async (...encodings: number[]): Promise<string[]> =>
    Promise.all(encodings.map(async (encoding) => (await exitField(encoding)).value));
  /** Names of the walk's levels, each with the names of the EPT entries that led to it. */
  const levels = ({ walk }: FaultBody): string[] =>
    walk!.levels.map(({ name, ept }) => `${name} < ${ept.map((one) => one.name).join(' ')}`);
  const whole = (names: readonly string[]): string[] => names.map((name) => `${name} < ${EPT_LEVELS.join(' ')}`);
  /** The entries that refused, as "PTE (EPT PTE): outcome". */
  const refusals = ({ walk }: FaultBody): string[] =>
    walk!.levels.flatMap(({ name, entry, ept }) => [
      ...(entry?.refused ? [`${name}: ${entry.outcome}`] : []),
      ...ept.filter(({ refused }) => refused).map((one) => `${name} (${one.name}): ${one.outcome}`),
    ]);
  const end = async (): Promise<number> => {
    await client.request('setExceptionBreakpoints', { filters: [] });
    await client.request('continue', { threadId });
    return client.exitCode();
  };

  it('a page fault that the guest handles, by both levels of tables', async () => {
    await boot('handled-page-fault', 'page-fault');
    const report = await fault();
    assert.equal(report.title, '#PF page fault');
    const [link] = report.chain;
    assert.equal(link!.place.source?.path, GUEST_SOURCE);
    assert.equal(link!.place.source.line, guestLine('return *(volatile uint64_t *)address'));
    assert.equal(report.walk!.paging, '4-level paging under EPT');
    assert.equal(report.walk!.gva, WINDOW);
    assert.deepEqual(levels(report), whole(FOUR_LEVELS));
    assert.deepEqual(refusals(report), ['PTE: not-present']);
    assert.deepEqual(
      report.controls.map(({ name }) => name),
      ['CR0', 'CR3', 'CR4', 'EFER', 'RFLAGS', 'EPTP'],
    );
    assert.equal(await end(), 42);
  });

  it('an EPT violation that the hypervisor gets', async () => {
    await boot('ept-violation', 'vm-exit', 'reason == EPT_VIOLATION');
    const report = await fault();
    assert.equal(report.title, 'EPT violation');
    assert.deepEqual(
      report.chain.map(({ name, gva, gpa, place }) => [name, gva, gpa, place.source?.line]),
      [['EPT violation', NOWHERE, NOWHERE, guestLine('return *(volatile uint64_t *)address')]],
    );
    assert.deepEqual(levels(report), [
      ...whole(LARGE_LEVELS.slice(0, 3)),
      `page < ${EPT_LEVELS.slice(0, 3).join(' ')}`,
    ]);
    assert.deepEqual(refusals(report), ['page (EPT PDE): not-present']);
    assert.match(report.walk!.result, /^EPT violation, qualification 0x581: EPT PDE is not present/);
    const [read] = report.walk!.rights;
    assert.deepEqual(read, {
      right: 'read',
      wanted: true,
      given: false,
      decidedBy: ['EPT PDE does not give R'],
    });
    // Reason, qualification, addresses.
    assert.deepEqual(await inForce(0x4402, 0x6400, 0x640a, 0x2400), ['0x30', '0x581', NOWHERE, NOWHERE]);
    assert.equal(await end(), 255);
    assert.match(client.output.stdout, /unexpected exit 0x30/);
  });

  it("an EPT violation of one of the guest's own tables", async () => {
    await boot('table-violation', 'vm-exit', 'reason == EPT_VIOLATION');
    const report = await fault();
    assert.match(report.headline, /read of a guest page-table entry, not mapped in the EPT/);
    assert.deepEqual([report.chain[0]!.gva, report.chain[0]!.gpa], [WINDOW, NOWHERE]);
    assert.deepEqual(refusals(report), ['PTE (EPT PDE): not-present']);
    assert.equal(report.walk!.levels.at(-1)!.entry, undefined);
    assert.deepEqual(report.walk!.rights, []);
  });

  it('an EPT entry of the hypervisor that can never be valid', async () => {
    await boot('misconfigured-page', 'vm-exit', 'reason == EPT_MISCONFIGURATION');
    const report = await fault();
    assert.equal(report.title, 'EPT misconfiguration');
    assert.deepEqual([report.chain[0]!.gva, report.chain[0]!.gpa], [SPOILED, SPOILED]);
    assert.deepEqual(levels(report), whole(LARGE_LEVELS));
    assert.deepEqual(refusals(report), ['page (EPT PTE): misconfigured']);
    assert.match(
      report.walk!.result,
      /^EPT misconfiguration: EPT PTE can never be valid \(0x[0-9a-f]+\): it gives W without R$/,
    );
    assert.deepEqual(report.walk!.rights, []);
    assert.match(report.text.join('\n'), /it gives W without R/);
    // The exit tells the reason and the guest-physical address, no more (SDM 3C 28.2.1).
    assert.deepEqual(await inForce(0x4402, 0x6400, 0x2400), ['0x31', '0x0', SPOILED]);
    assert.equal(await end(), 255);
  });

  it("one on the way to the guest's own tables", async () => {
    await boot('misconfigured-table', 'vm-exit', 'reason == EPT_MISCONFIGURATION');
    const report = await fault();
    assert.deepEqual([report.chain[0]!.gva, report.chain[0]!.gpa], [WINDOW, SPOILED]);
    assert.deepEqual(levels(report), whole(FOUR_LEVELS));
    assert.deepEqual(refusals(report), ['PTE (EPT PTE): misconfigured']);
    assert.match(report.walk!.result, /memory type 2 does not exist/);
  });

  it('a triple fault of the guest, with the chain that led to it', async () => {
    await boot('triple-fault', 'vm-exit', 'reason == TRIPLE_FAULT');
    const report = await fault();
    assert.equal(report.title, 'triple fault');
    assert.deepEqual(
      report.chain.map(({ name, errorText, failed }) => [name, errorText, failed]),
      [
        ['#PF', 'not present, read, supervisor mode', 'IDT limit 0x0: vector 14 is outside'],
        ['#GP', 'IDT entry 14, met while delivering an event', '#GP while delivering #PF is a double fault'],
        ['#DF', '', 'IDT limit 0x0: vector 8 is outside'],
        ['#GP', 'IDT entry 8, met while delivering an event', undefined],
      ],
    );
    for (const { place } of report.chain) assert.equal(place.source?.path, GUEST_SOURCE);
    assert.deepEqual(levels(report), whole(['PML4E']));
    assert.deepEqual(refusals(report), ['PML4E: not-present']);
    assert.equal(await end(), 255);
    assert.match(client.output.stdout, /unexpected exit 0x2/);
  });

  it('a page fault that the hypervisor intercepts', async () => {
    await boot('intercepted-page-fault', 'vm-exit', 'reason == EXCEPTION_NMI');
    const report = await fault();
    assert.equal(report.title, '#PF page fault, taken as a VM exit');
    assert.deepEqual(levels(report), whole(FOUR_LEVELS));
    assert.deepEqual(refusals(report), ['PTE: not-present']);
    assert.match((await exitField(0x4404)).text!, /^valid: hardware exception, vector 14, with error code$/);
    assert.equal((await exitField(0x6400)).value, WINDOW);
  });

  it('decodes the EPT pointer, and shows the memory type in effect', async () => {
    await boot('handled-page-fault', 'page-fault');
    const { value, text, parts } = (await exitField(0x201a)) as VmcsResponse['fields'][number];
    assert.equal(text, `4 levels, WB, root at hpa:0x${(BigInt(value) & ~0xfffn).toString(16)}`);
    assert.deepEqual(parts.map(({ name, value: stands }) => [name, stands]).slice(0, 4), [
      ['memory type', '0x6'],
      ['walk length', '0x3'],
      ['A/D', '0x0'],
      ['SSS', '0x0'],
    ]);
    const walk = await client.request<WalkResponse>('dune/walk', { threadId, address: '$rip', access: 'execute' });
    assert.deepEqual(walk.memoryType, { type: 'WB', because: 'EPT PTE says WB, PDE chooses PAT0, which is WB' });
    assert.equal(walk.text.at(-1), '  memory type WB: EPT PTE says WB, PDE chooses PAT0, which is WB');
  });

  /** Spoils the EPT entry of a level on the way to a variable of a Dune program, as the tree of tables does, before the program reads it. */
  async function spoil(level: number, change: (entry: bigint) => bigint): Promise<WalkResponse> {
    const source = { path: HELLO };
    const line =
      readFileSync(HELLO, 'utf8')
        .split('\n')
        .findIndex((text) => text.includes('the byte is')) + 1;
    await client.launch({ program: example('hello') }, () =>
      client.request('setBreakpoints', { source, breakpoints: [{ line }] }),
    );
    ({ threadId } = await client.stopped());
    await client.request('setBreakpoints', { source, breakpoints: [] });
    await client.request('setExceptionBreakpoints', { filters: ['abnormal'] });
    const walk = await client.request<WalkResponse>('dune/walk', { threadId, address: '&page' });
    const step = walk.steps.findLast((one) => one.table === 'ept' && one.level === level)!;
    const value = `0x${change(BigInt(step.entry)).toString(16)}`;
    await client.request('dune/setPageTableEntry', { threadId, hpa: step.hpa, value, flush: true });
    await client.request('continue', { threadId });
    return walk;
  }

  it('an EPT entry of a Dune program that the user has made invalid', async () => {
    const { gva, gpa } = await spoil(1, (entry) => (entry & ~7n) | 2n);
    assert.equal((await client.stopped()).threadId, threadId);
    const report = await fault();
    assert.equal(report.title, 'EPT misconfiguration');
    assert.match(
      report.headline,
      new RegExp(
        `EPT misconfiguration at GPA ${gpa!.slice(0, -3)}[0-9a-f]{3}: EPT PTE can never be valid \\(0x[0-9a-f]+\\): it gives W without R$`,
      ),
    );
    assert.equal(BigInt(report.chain.at(-1)!.gva!) >> 12n, BigInt(gva) >> 12n);
    // The guest's own tables stand in pages of 2 MB.
    assert.deepEqual(
      levels(report).map((level) => level.replace(/ < EPT PML4E EPT PDPTE EPT PDE/, '')),
      [...FOUR_LEVELS, 'page EPT PTE'],
    );
    assert.deepEqual(refusals(report), ['page (EPT PTE): misconfigured']);
    assert.match(report.advice!, /through the debugger/);
    assert.equal((await exitField(0x4402)).value, '0x31');
  });

  it('one that points to a table', async () => {
    await spoil(2, (entry) => entry | 0x8n | (1n << 51n));
    await client.stopped();
    const report = await fault();
    assert.match(
      report.walk!.result,
      /EPT PDE can never be valid \(0x[0-9a-f]+\): reserved bits? 51.* set; reserved bit 3 set in an entry that points to a table$/,
    );
    assert.equal(report.walk!.levels.flatMap(({ ept }) => ept).filter(({ refused }) => refused).length, 1);
  });

  it('rights that the user takes away are given again by the module: nothing stops', async () => {
    await spoil(1, () => 0n);
    assert.equal(await client.exitCode(), 0);
  });
});
