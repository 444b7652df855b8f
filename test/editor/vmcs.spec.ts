import assert from 'node:assert/strict';
import { join } from 'node:path';
import { lineOf } from './support/source.ts';
import { useEditor } from './support/spec.ts';

describe('The VMCS view', () => {
  const spec = useEditor('vmcs');

  it('says that a VM entry would pass', async () => {
    const { workbench, editor } = spec;
    const at = lineOf(join(editor.workspace, 'hello/hello.c'), 'hello from Dune mode');
    await workbench.openFile('hello/hello.c', at);
    await workbench.clickGutter(at);
    await workbench.press('F5');
    await workbench.debug.show();
    await workbench.debug.stoppedAt('main', `hello.c ${at}`);
    const vmcs = await workbench.duneView('VMCS');
    for (const other of ['Page Tables', 'VM Exits', 'Trapped System Calls', 'Event Breakpoints'])
      await (await workbench.duneView(other)).close();
    await vmcs.row('A VM entry would pass all checks');
    await editor.screenshot('1 entry');
  });

  it('validates a control bit when it is toggled, and leads from the check to the field', async () => {
    const { workbench, editor } = spec;
    const vmcs = await workbench.duneView('VMCS');
    await vmcs.expand(/^Controls/);
    await vmcs.expand(/^pin-based VM-execution controls/);
    const violated = vmcs.pane.getByText('"NMI exiting" = 0: violates controls.virtual-nmis').first();
    await vmcs.action(/^NMI exiting/, 'Toggle This Bit', violated);
    await vmcs.row(/^wants "virtual NMIs" clear unless "NMI exiting" is set.*SDM 3C 27\.2\.1\.1/);
    await editor.screenshot('2 violated');
    // The check leads to its field, wherever that is.
    await vmcs.collapseAll();
    await vmcs.expand('entry would fail: 1 check violated');
    await (await vmcs.row(/^wants "virtual NMIs"/)).click();
    const field = vmcs.pane.locator('.monaco-list-row.selected', { hasText: /^pin-based VM-execution controls/ });
    await field.waitFor();
    await editor.screenshot('2 field of the check');
    const mended = vmcs.pane.getByText('controls.virtual-nmis holds again').first();
    await vmcs.action(/^NMI exiting/, 'Toggle This Bit', mended);
    await vmcs.collapseAll();
    await vmcs.row('A VM entry would pass all checks');
  });

  it('answers what would exit, by the command and in the debug console', async () => {
    const { workbench, editor } = spec;
    const vmcs = await workbench.duneView('VMCS');
    await vmcs.collapseAll();
    await workbench.command('Dune: Would This Exit?');
    await workbench.answer('rdmsr EFER');
    const answer = await vmcs.row(/^RDMSR of 0xc0000080 \(EFER\).*It exits: RDMSR \(reason 31\)/);
    await vmcs.row('"use MSR bitmaps" is 1');
    await workbench.command('Dune: Would This Exit?');
    await workbench.answer('mov %rax, %cr3');
    await vmcs.row(/^mov %rax, %cr3.*It does not exit: "CR3-load exiting" is 0/);
    await editor.screenshot('3 would exit');
    await vmcs.action(/^RDMSR of 0xc0000080/, 'Hide the Answer', vmcs.rows.filter({ hasText: /^mov %rax/ }).first());
    assert.ok(answer);
    await workbench.console.show();
    await workbench.console.evaluate('exits? #BP');
    await workbench.console.shows('It exits: EXCEPTION_NMI (reason 0), because bit 3 of the exception bitmap is 1');
    await editor.screenshot('3 console');
  });

  it('lists what exits', async () => {
    const { workbench, editor } = spec;
    const vmcs = await workbench.duneView('VMCS');
    await vmcs.collapseAll();
    await vmcs.expand(/^What exits/);
    await vmcs.expand(/^MSR reads/);
    await vmcs.row(/^reads of 0xc0000100–0xc0000101 \(FS_BASE, GS_BASE\) do not exit/);
    await editor.screenshot('4 lists');
  });
});
