import { join } from 'node:path';
import { lineOf } from './support/source.ts';
import { useEditor } from './support/spec.ts';

/** What the server needs of the system, and no compiler or assembler. */
const WITHOUT_TOOLCHAIN = '/nonexistent';

describe('Debugging an assembly source with no toolchain', () => {
  const spec = useEditor('assembly', { path: WITHOUT_TOOLCHAIN });
  const line = (text: string): number => lineOf(join(spec.editor.workspace, 'asm-pagefault/asm-pagefault.s'), text);

  it('stops at a breakpoint of the gutter after F5, with no launch.json', async () => {
    const { workbench, editor } = spec;
    const at = line('mov	%cr2, %rax');
    await workbench.openFile('asm-pagefault/asm-pagefault.s', at);
    await workbench.clickGutter(at);
    await workbench.press('F5');
    await workbench.debug.show();
    await workbench.debug.stoppedAt('page_fault', `asm-pagefault.s ${at}`);
    await editor.screenshot('1 breakpoint');
  });

  it('ends with the output and the exit code of the program', async () => {
    const { workbench, editor } = spec;
    await workbench.press('F5');
    await workbench.console.show();
    await workbench.console.shows('a page fault was handled in ring 0');
    await workbench.console.shows('ended with exit code 42');
    await editor.screenshot('2 end');
  });
});
