/** The VMCS in the debugger: violated checks, edits of single bits, what exits, and "would this exit?". */
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SetVmcsFieldResponse, VmcsResponse, WouldExitResponse } from '../../debug-adapter/protocol.ts';
import { GUEST_SOURCE, guestFaultKernel } from '../machine/guest-faults.ts';
import { TestClient } from './client.ts';

const examples = fileURLToPath(new URL('../../examples', import.meta.url));
const hypervisor = join(examples, 'tiny-hypervisor');
const BARE = { program: join(hypervisor, 'tiny-hypervisor'), machine: 'bare', memory: 64 };

const PIN = 0x4000;
const PRIMARY = 0x4002;
const EXCEPTION_BITMAP = 0x4004;
const SECONDARY = 0x401e;
const LINK_POINTER = 0x2800;
const GUEST_CR0 = 0x6800;
const GUEST_CR3 = 0x6802;
const MSR_LOAD_ADDRESS = 0x200a;
const MSR_LOAD_COUNT = 0x4014;
/** Bits of the controls. */
const VIRTUAL_NMIS = 5;
const MSR_BITMAPS = 28;
const RDTSC_EXITING = 12;
const VMCS_SHADOWING = 14;

const lineIn = (path: string, text: string): number =>
  readFileSync(path, 'utf8')
    .split('\n')
    .findIndex((line) => line.includes(text)) + 1;
const lineOf = (text: string): number => lineIn(join(hypervisor, 'hypervisor.c'), text);

describe('the VMCS in the debugger', () => {
  let client: TestClient;
  let threadId: number;
  before(() => {
    if (!existsSync(BARE.program) || !existsSync(join(examples, 'hello/hello')))
      execFileSync('make', ['-s', '-C', examples]);
  });
  beforeEach(() => {
    client = new TestClient();
  });
  afterEach(() => client.close());

  const vmcs = (which?: string): Promise<VmcsResponse> => client.request('dune/vmcs', { threadId, which });
  const set = (encoding: number, value: number, bit?: number): Promise<SetVmcsFieldResponse> =>
    client.request('dune/setVmcsField', { threadId, encoding, value: `0x${value.toString(16)}`, bit });
  const ask = (question: string): Promise<WouldExitResponse> =>
    client.request('dune/wouldExit', { threadId, question });
  const ids = (response: VmcsResponse): string[] => response.checks.map(({ id }) => id);

  /** In a hypervisor, where its VMCS is complete and the guest has not run. */
  async function beforeEntry(): Promise<void> {
    await client.launch(BARE, () =>
      client.request('setBreakpoints', {
        source: { path: join(hypervisor, 'hypervisor.c') },
        breakpoints: [{ line: lineOf('if (enter_guest(') }],
      }),
    );
    ({ threadId } = await client.stopped());
    await client.request('setBreakpoints', { source: { path: join(hypervisor, 'hypervisor.c') }, breakpoints: [] });
  }
  /** In Dune mode. */
  async function inDuneMode(): Promise<void> {
    await client.launch({ program: join(examples, 'hello/hello') }, () =>
      client.request('setExceptionBreakpoints', {
        filterOptions: [{ filterId: 'vm-exit', condition: 'reason == VMCALL' }],
      }),
    );
    ({ threadId } = await client.stopped());
  }

  it('marks the checks that an edit violates, with value and reason, and unmarks them', async () => {
    await beforeEntry();
    const good = await vmcs();
    assert.deepEqual(good.entry, { state: 'holds', headline: 'A VM entry would pass all checks' });
    assert.match(good.title!, /^VMCS at hpa:0x[0-9a-f]+, clear$/);
    const bit = good.fields
      .find(({ encoding }) => encoding === PIN)!
      .parts.find(({ name }) => name === 'virtual NMIs')!;
    assert.equal(bit.bit, VIRTUAL_NMIS);
    const answer = await set(PIN, 1, VIRTUAL_NMIS);
    assert.equal(answer.entry!.headline, 'VM entry would fail: 1 check violated');
    const [violated] = answer.violated;
    assert.equal(violated!.id, 'controls.virtual-nmis');
    assert.match(violated!.found, /pin-based VM-execution controls 0x36/);
    assert.equal(violated!.section, 'SDM 3C 27.2.1.1');
    assert.deepEqual(violated!.fields, [PIN]);
    // A bit that the capability MSRs hold at 1, of the guest's CR0 a bit that VMX holds, an entry of the MSR-load area.
    const fixed = await set(PIN, 0, 1);
    assert.equal(fixed.violated[0]!.because, 'bit 1 must be 1 (48Dh, low half)');
    await set(GUEST_CR0, 0, 5);
    await set(MSR_LOAD_ADDRESS, 0x1000);
    await set(MSR_LOAD_COUNT, 1);
    assert.deepEqual(ids(await vmcs()), [
      'controls.pin.reserved',
      'controls.virtual-nmis',
      'guest.cr0',
      'msr-load.value',
    ]);
    const mended = await set(PIN, 0, VIRTUAL_NMIS);
    assert.deepEqual(mended.mended, ['controls.virtual-nmis']);
    assert.deepEqual(mended.violated, []);
  });

  it('stops at a failed entry, and lists all that is violated', async () => {
    await beforeEntry();
    await client.request('setExceptionBreakpoints', { filters: ['vm-entry-failure'] });
    await set(PIN, 1, VIRTUAL_NMIS);
    await set(GUEST_CR0, 0, 5);
    await client.request('continue', { threadId });
    const stopped = await client.stopped();
    assert.match(
      stopped.text!,
      /^VM entry failed: VM-instruction error 7.*2 checks violated, the first wants "virtual NMIs" clear/,
    );
    const info = await client.request<{ details: { stackTrace: string } }>('exceptionInfo', { threadId });
    assert.deepEqual(info.details.stackTrace.split('\n').map((line) => line.split(':')[0]).slice(0, 2), [
      'controls.virtual-nmis',
      'guest.cr0',
    ]); // prettier-ignore
    assert.match(
      (await vmcs()).entry!.headline,
      /^VM entry failed with VM-instruction error 7 \(.*\): 2 checks violated$/,
    );
    await client.request('continue', { threadId });
    await client.exitCode();
    assert.match(client.output.stdout, /VM entry failed with error 0x7/);
  });

  it('says how an entry failed for guest state', async () => {
    await beforeEntry();
    await client.request('setExceptionBreakpoints', { filters: ['vm-entry-failure'] });
    await set(GUEST_CR0, 0, 5);
    await client.request('continue', { threadId });
    assert.match((await client.stopped()).text!, /ENTRY_FAILURE_GUEST_STATE \(reason 33\), qualification 0x0; wants/);
    const { entry, checks } = await vmcs();
    assert.equal(entry!.state, 'failed');
    assert.match(
      entry!.headline,
      /^VM entry failed with ENTRY_FAILURE_GUEST_STATE \(reason 33, qualification 0\): 1 check/,
    );
    assert.ok(checks[0]!.fields.includes(GUEST_CR0));
  });

  it('answers in root operation for the guest', async () => {
    await beforeEntry();
    const cpuid = await ask('cpuid');
    assert.equal(cpuid.exits, true);
    assert.deepEqual(cpuid.reason!.number, 10);
    assert.match(cpuid.notes[0]!, /in root operation/);
    const rdmsr = await ask('rdmsr EFER');
    assert.equal(rdmsr.asked, 'RDMSR of 0xc0000080 (EFER)');
    assert.equal(rdmsr.headline, 'It exits: RDMSR (reason 31), because "use MSR bitmaps" is 0');
    assert.equal((await ask('rdtsc')).exits, false);
    await set(PRIMARY, 1, RDTSC_EXITING);
    const rdtsc = await ask('rdtsc');
    assert.equal(rdtsc.headline, 'It exits: RDTSC (reason 16), because "RDTSC exiting" is 1');
    assert.deepEqual(rdtsc.decides.at(-1), {
      text: '"RDTSC exiting" is 1',
      encoding: PRIMARY,
      bit: RDTSC_EXITING,
      section: 'SDM 3C 25.6.2',
    });
    assert.match((await ask('outl 0x3f8')).headline, /IO_INSTRUCTION.*"unconditional I\/O exiting" is 1/);
    assert.match((await ask('#PF 0x2')).headline, /^It does not exit: bit 14 of the exception bitmap is 0/);
    await set(EXCEPTION_BITMAP, 1, 6);
    assert.match((await ask('ud2')).headline, /^It raises #UD.*which exits: EXCEPTION_NMI \(reason 0\), because bit 6/);
    const failed = await client.send('dune/wouldExit', { threadId, question: 'frobnicate' });
    assert.match(failed.message!, /'frobnicate' is no instruction: .*\(AT&T\); .*\(Intel\)/);
  });

  it('shows what exits of a Dune program as lists', async () => {
    await inDuneMode();
    const { lists, fields } = await vmcs();
    const list = (id: string): string[] => lists.find((one) => one.id === id)!.rows.map(({ text }) => text);
    assert.ok(
      list('rdmsr').some((text) => /^reads of 0xc0000100–0xc0000101 \(FS_BASE, GS_BASE\) do not exit$/.test(text)),
    );
    assert.ok(list('rdmsr').some((text) => /\(EFER, STAR, LSTAR.*\) exit$/.test(text)));
    assert.equal(lists.find(({ id }) => id === 'rdmsr')!.inEffect, true);
    assert.deepEqual(list('io'), ['every port is used without an exit']);
    assert.ok(list('exceptions').includes('#BP (vector 3) exits'), list('exceptions').join());
    assert.ok(list('cr0').some((text) => /^PG: reads as 1, writing 0 exits$/.test(text)));
    assert.equal(lists.find(({ id }) => id === 'vmread')!.inEffect, false);
    assert.ok(fields.find(({ encoding }) => encoding === PRIMARY)!.parts.some(({ bit }) => bit === MSR_BITMAPS));
  });

  it('answers in the debug console, with expressions', async () => {
    await inDuneMode();
    const console = (text: string): Promise<string> => client.evaluate(text, 'repl');
    assert.match(await console('exits? rdmsr 0xC0000080'), /^RDMSR of 0xc0000080 \(EFER\): It exits: RDMSR \(reason 31\), because the bit of reads of 0xc0000080 \(EFER\) is 1 \(hpa:0x[0-9a-f]+, bit 0\)\n/);
    assert.match(await console('exits? rdmsr FS_BASE'), /It does not exit/);
    assert.match(await console('exits?'), /^vmcall.*: It exits: VMCALL \(reason 18\), because it always exits/);
    assert.match(await console('exits? at main'), /It does not exit: no control is about this instruction/);
    assert.match(await console('exits? mov rax, cr3'), /^mov rax, cr3: It does not exit: "CR3-store exiting" is 0/);
    assert.match(await console('exits? cr0 $cr0 ^ 8'), /CR_ACCESS \(reason 28\), because CR0.TS is owned by the host/);
  }); // prettier-ignore

  it('sets single bits among the variables', async () => {
    await inDuneMode();
    const rows = await client.scope(threadId, 'VMCS');
    const reference = (name: string, among: typeof rows): number =>
      among.find((row) => row.name === name)!.variablesReference;
    const controls = await client.variables(reference('Controls', rows));
    const pin = reference('pin-based VM-execution controls', controls);
    const bits = await client.variables(pin);
    const bit = bits.find(({ name }) => name === 'virtual NMIs')!;
    await client.request('setVariable', {
      variablesReference: pin,
      name: 'virtual NMIs',
      value: bit.value.startsWith('1') ? '0' : '1',
    });
    const after = await client.variables(pin);
    assert.notEqual(after.find(({ name }) => name === 'virtual NMIs')!.value[0], bit.value[0]);
  });

  it('shows the shadow VMCS that the link pointer names, and what the guest wrote there', async () => {
    const { kernel, guest } = guestFaultKernel('shadow-vmcs');
    const source = { path: GUEST_SOURCE };
    const line = lineIn(GUEST_SOURCE, 'return value >> 12');
    await client.launch({ program: kernel, machine: 'bare', memory: 64, guestSymbols: [guest] }, () =>
      client.request('setBreakpoints', { source, breakpoints: [{ line }] }),
    );
    ({ threadId } = await client.stopped());
    const value = (response: VmcsResponse, encoding: number): string =>
      response.fields.find((field) => field.encoding === encoding)!.value;
    const current = await vmcs();
    assert.deepEqual(current.shadow, { hpa: value(current, LINK_POINTER), inUse: true });
    const shadow = await vmcs('shadow');
    assert.equal(shadow.title, `shadow VMCS at hpa:${current.shadow!.hpa}, clear`);
    assert.deepEqual([shadow.entry, shadow.checks, shadow.lists, shadow.shadow], [undefined, [], [], undefined]);
    // The guest's VMWRITE has gone there, and not to its own VMCS.
    assert.equal(value(shadow, GUEST_CR3), '0x6000');
    assert.notEqual(value(current, GUEST_CR3), '0x6000');
    assert.ok(current.lists.find(({ id }) => id === 'vmread')!.inEffect);
    const row = (await client.scope(threadId, 'VMCS')).find(({ name }) => name === 'Shadow VMCS')!;
    assert.equal(row.value, `hpa:${current.shadow!.hpa}`);
    const groups = await client.variables(row.variablesReference);
    const state = groups.find(({ name }) => name === 'Guest state')!.variablesReference;
    await client.request('setVariable', { variablesReference: state, name: 'guest CR3', value: '0x7000' });
    assert.equal(value(await vmcs('shadow'), GUEST_CR3), '0x7000');
    // Without the control the VMCS is linked all the same.
    await client.request('dune/setVmcsField', { threadId, encoding: SECONDARY, value: '0x0', bit: VMCS_SHADOWING });
    assert.equal((await vmcs()).shadow!.inUse, false);
    await client.request('dune/setVmcsField', { threadId, encoding: LINK_POINTER, value: '0xffffffffffffffff' });
    assert.equal((await vmcs()).shadow, undefined);
    assert.equal((await vmcs('shadow')).message, 'The VMCS link pointer names no shadow VMCS.');
  });

  it('answers for a line of C by each of its instructions', async () => {
    const guest = join(hypervisor, 'guest.c');
    const at = (file: string, text: string): string => `line ${file}:${lineIn(file, text)}`;
    await client.launch({ ...BARE, guestSymbols: [join(hypervisor, 'guest')] }, () =>
      client.request('setBreakpoints', {
        source: { path: guest },
        breakpoints: [{ line: lineIn(guest, 'name[3] = 0') }],
      }),
    );
    ({ threadId } = await client.stopped());
    // From the guest, and from the hypervisor, where the guest is the other level.
    const fromBoth = async (check: () => Promise<void>): Promise<void> => {
      await check();
      await client.request('stepOut', { threadId });
      await client.stopped();
      await client.request('setExceptionBreakpoints', { filters: [] });
      await client.request('setBreakpoints', { source: { path: guest }, breakpoints: [] });
      await client.request('setBreakpoints', {
        source: { path: join(hypervisor, 'hypervisor.c') },
        breakpoints: [{ line: lineOf('if (handle_exit()') }],
      });
      await client.request('continue', { threadId });
      await client.stopped();
      await check();
    };
    await fromBoth(async () => {
      const cpuid = await ask(at(guest, '"cpuid"'));
      assert.equal(cpuid.asked, `guest.c:${lineIn(guest, '"cpuid"')}`);
      assert.equal(cpuid.exits, true);
      assert.equal(cpuid.reason!.name, 'CPUID');
      assert.match(
        cpuid.headline,
        /^Of its \d+ instructions 1 exits; cpuid at 0xffffffff8002[0-9a-f]{4}: It exits: CPUID/,
      );
      assert.deepEqual(
        cpuid.instructions!.filter(({ exits }) => exits).map(({ instruction }) => instruction),
        ['cpuid'],
      );
      assert.ok(cpuid.instructions!.length > 1);
      const quiet = await ask(at(guest, 'total += list->value'));
      assert.equal(quiet.exits, false);
      assert.match(quiet.headline, /^It does not exit: none of its \d+ instructions does|its one instruction does/);
      assert.match(quiet.text.join('\n'), /add.*: It does not exit: no control is about this instruction/);
    });
    const refused = await client.send('dune/wouldExit', {
      threadId,
      question: at(join(hypervisor, 'hypervisor.c'), 'return guest.status'),
    });
    assert.match(refused.message!, /is the hypervisor's: in VMX root operation nothing exits/);
    const nothing = await client.send('dune/wouldExit', { threadId, question: `line ${guest}:1` });
    assert.match(nothing.message!, /^Line 1 of .*guest\.c has no code\.$/);
    const instead = await ask(`line ${guest}:1 | cpuid`);
    assert.deepEqual([instead.asked, instead.exits], ['cpuid', true]);
  });

  it('answers for a line of a Dune program', async () => {
    await inDuneMode();
    const source = join(examples, 'hello/hello.c');
    const divide = await ask(`line ${source}:${lineIn(source, 'divl %2')}`);
    assert.equal(divide.exits, false);
    assert.ok(divide.instructions!.some(({ instruction }) => instruction.startsWith('div')));
    assert.ok(divide.notes.includes('Registers are taken as they are now.'));
  });
});
