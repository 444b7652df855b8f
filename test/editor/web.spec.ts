import { join } from 'node:path';
import { lineOf } from './support/source.ts';
import { useWebEditor } from './support/spec.ts';

describe('VS Code for the web, with nothing installed', () => {
  const spec = useWebEditor('web');
  const source = 'asm-pagefault/asm-pagefault.s';
  const line = (text: string): number => lineOf(join(spec.editor.workspace, source), text);

  it('debugs an assembly program to its page fault', async () => {
    const { workbench, editor } = spec;
    const at = line('mov	%cr2, %rax');
    await workbench.openFile(source, at);
    await workbench.clickGutter(at);
    await workbench.press('F5');
    await workbench.debug.show();
    await workbench.debug.stoppedAt('page_fault');
    await editor.screenshot('1 page fault');
  });

  it('expands its page tables', async () => {
    const { workbench, editor } = spec;
    const tables = await workbench.duneView('Page Tables');
    for (const other of ['VMCS', 'VM Exits', 'Trapped System Calls', 'Event Breakpoints'])
      await (await workbench.duneView(other)).close();
    await tables.expand(/^Page tables of CR3/);
    await tables.expand(/^0x0.*PML4E.*W/);
    await editor.screenshot('2 page tables');
  });

  it('has the language server', async () => {
    const { workbench, editor } = spec;
    await workbench.openFile(source, line('.include'));
    await editor.page.locator('.codelens-decoration a', { hasText: 'Debug' }).waitFor();
    await editor.screenshot('3 language server');
  });

  it('goes on to the end of the program', async () => {
    const { workbench } = spec;
    await workbench.press('F5');
    await workbench.console.show();
    await workbench.console.shows('a page fault was handled in ring 0');
    await workbench.console.shows('ended with exit code 42');
  });
});
