import assert from 'node:assert/strict';
import { join } from 'node:path';
import { lineOf } from './support/source.ts';
import { useEditor } from './support/spec.ts';
import { waitFor } from './support/until.ts';

describe('Debugging examples/hello', () => {
  const spec = useEditor('hello');
  const line = (text: string): number => lineOf(join(spec.editor.workspace, 'hello/hello.c'), text);

  it('stops at a breakpoint of the gutter after F5, with no launch.json', async () => {
    const { workbench, editor } = spec;
    const at = line('hello from Dune mode');
    await workbench.openFile('hello/hello.c', at);
    await workbench.clickGutter(at);
    await workbench.press('F5');
    await workbench.debug.show();
    await workbench.debug.stoppedAt('main', `hello.c ${at}`);
    await workbench.console.shows('hello from Linux mode');
    await editor.screenshot('1 breakpoint');
  });

  it('shows the VMCS by name', async () => {
    const { workbench, editor } = spec;
    const vmcs = await workbench.duneView('VMCS');
    await (await workbench.duneView('Trapped System Calls')).close();
    await (await workbench.duneView('VM Exits')).close();
    await vmcs.row(/^exit reason.*0x\w+\s+\w+/);
    await vmcs.collapseAll();
    await vmcs.expand(/^Controls/);
    await vmcs.expand(/secondary processor-based/i);
    await vmcs.row(/^enable EPT.*1\s+guest-physical/i);
    await editor.screenshot('2 vmcs');
  });

  it('stops at an EPT violation by an event breakpoint', async () => {
    const { workbench, editor } = spec;
    const events = await workbench.duneView('Event Breakpoints');
    await events.check('EPT violation');
    await (await events.row('EPT violation')).locator('.codicon-debug-breakpoint').waitFor();
    await workbench.press('F5');
    await workbench.debug.explains('EPT violation');
    await (await workbench.duneView('VM Exits')).row('EPT_VIOLATION');
    await editor.screenshot('3 ept violation');
    await workbench.debug.show();
    await workbench.debug.paused('EPT violation');
    await (await workbench.duneView('Event Breakpoints')).check('EPT violation', false);
  });

  it('stops at the page fault when its condition holds', async () => {
    const { workbench, editor } = spec;
    const events = await workbench.duneView('Event Breakpoints');
    await events.action('Guest page fault', 'Edit the Condition', workbench.input());
    await workbench.answer('errorCode & 2 && cpl ==');
    await events.row(/Guest page fault.*ends too early/);
    await events.action('Guest page fault', 'Edit the Condition', workbench.input());
    await workbench.answer('errorCode & 2 && cpl == 0');
    const set = await events.row(/Guest page fault.*cpl == 0$/);
    await set.locator('.codicon-debug-breakpoint').waitFor();
    await workbench.press('F5');
    await workbench.debug.explains('page-fault');
    await workbench.debug.show();
    await workbench.debug.stoppedAt('main', `hello.c ${line("*byte = 'x'")}`);
    await workbench.debug.paused('Guest page fault');
    await workbench.debug.variables.expand('Privilege');
    await waitFor('the mode', async () => /Dune/.test(await workbench.debug.value('Mode')));
    await editor.screenshot('4 page fault');
  });

  it('opens the page tables down to the entry that refused', async () => {
    const { workbench, editor } = spec;
    const tables = await workbench.duneView('Page Tables');
    for (const other of ['VMCS', 'VM Exits', 'Event Breakpoints']) await (await workbench.duneView(other)).close();
    await workbench.command('Dune: Walk an Address');
    await workbench.answer('&page');
    const walk = await tables.row(/^Walk of &page.*gva:0x/);
    const page = /gva:(0x[0-9a-f]+)/.exec(await walk.innerText())![1]!;
    await editor.screenshot('5 walk');
    const leaf = await tables.expand(new RegExp(`^${page}.*4 KB page`));
    assert.doesNotMatch(await leaf.innerText(), /\bW\b/, 'the page is read-only');
    await tables.row(/^W\s*0\s+read-only/);
    await editor.screenshot('5 leaf');
  });

  it('toggles a bit of an entry, and back', async () => {
    const { workbench, editor } = spec;
    const tables = await workbench.duneView('Page Tables');
    // Write-through: it changes nothing for the program.
    for (const value of ['1', '0']) {
      const toggled = tables.rows.filter({ hasText: new RegExp(`^PWT\\s*${value}\\b`) }).first();
      await tables.action(/^PWT/, 'Toggle This Bit', toggled);
    }
    await editor.screenshot('5 toggled');
  });

  it('sets a field of the VMCS', async () => {
    const { workbench, editor } = spec;
    const vmcs = await workbench.duneView('VMCS');
    await (await workbench.duneView('Page Tables')).close();
    await vmcs.collapseAll();
    await vmcs.expand(/^Controls/);
    // Used only when an exception is injected: it changes nothing for the program.
    await vmcs.action('VM-entry exception error code', 'Set the Field', workbench.input());
    await workbench.answer('0x1000');
    await vmcs.row(/VM-entry exception error code.*0x1000/);
    await editor.screenshot('5 field');
  });

  it('steps into the exception, with the frame it interrupted behind a label', async () => {
    const { workbench, editor } = spec;
    await workbench.debug.show();
    await workbench.press('F11');
    await workbench.debug.stoppedAt('__dune_intr');
    await workbench.debug.callStack.row('exception in ring 0');
    await editor.screenshot('6 step');
  });

  it('sets a register', async () => {
    const { workbench, editor } = spec;
    await workbench.debug.variables.expand('Registers');
    await workbench.debug.variables.expand(/^General/);
    await workbench.debug.set('rax', '0x1234');
    await waitFor('the new value', async () => /^0x0*1234$/.test(await workbench.debug.value('rax')));
    await editor.screenshot('7 register');
  });

  it('ends with the output and the exit code of the program', async () => {
    const { workbench, editor } = spec;
    await workbench.press('F5');
    await workbench.console.shows('goodbye');
    await workbench.console.shows('ended with exit code 0');
    await editor.screenshot('8 end');
  });
});
