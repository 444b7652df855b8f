import { join } from 'node:path';
import type { Locator } from 'playwright-core';
import { lineOf } from './support/source.ts';
import { useEditor } from './support/spec.ts';
import { until, waitFor } from './support/until.ts';

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

  it('shows values of registers in the source', async () => {
    const { editor } = spec;
    await editor.page.locator('.view-line', { hasText: /\$cr2\s=\s0x0+40000000/ }).waitFor();
    await editor.screenshot('1 values');
  });

  it('shows a memory operand with its page walk, and a register with its value, under the mouse', async () => {
    const { editor } = spec;
    const shows = async (word: string, wanted: RegExp): Promise<void> => {
      const under = editor.page
        .locator('.view-line span span')
        .filter({ hasText: new RegExp(`^\\s*${word}$`) })
        .first();
      const widget = editor.page.locator('.debug-hover-widget').filter({ hasText: wanted });
      await waitFor(`a hover of ${word}`, async () => {
        await editor.page.mouse.move(5, 5);
        await under.hover();
        return until(() => widget.isVisible(), 3000);
      });
    };
    await shows(
      'second_pd',
      /0x[0-9a-f]{16}\s+at 0x[0-9a-f]+: PML4E .* → PDPTE .* → (gpa:0x[0-9a-f]+ hpa:|EPT violation)/,
    );
    await editor.screenshot('1 operand');
    await shows('%cr2', /0x0+40000000/);
    await editor.screenshot('1 register');
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

describe('Editing assembly', () => {
  const spec = useEditor('assembly-editing', { copy: true });
  const word = (text: string): Locator =>
    spec.editor.page
      .locator('.view-line span span')
      .filter({ hasText: new RegExp(`^\\s*${text}$`) })
      .first();

  it('marks what the assembler refuses while it is typed', async () => {
    const { workbench, editor } = spec;
    await workbench.openFile('asm-pagefault/asm-pagefault.s', lineOf(source(), 'vmcall'));
    await editor.page.keyboard.press('End');
    await editor.page.keyboard.press('Enter');
    await editor.page.keyboard.type('movq %eax, %rbx');
    await editor.page.locator('.squiggly-error').first().waitFor();
    await workbench.press('Control+Shift+m');
    await editor.page.locator('.markers-panel', { hasText: 'does not take these operands (rbx, eax)' }).waitFor();
    await editor.screenshot('1 diagnostics');
    await workbench.press('Control+Shift+m');
    await waitFor('no error after undoing it', async () => {
      if ((await editor.page.locator('.squiggly-error').count()) === 0) return true;
      await workbench.press('Control+z');
      return until(async () => (await editor.page.locator('.squiggly-error').count()) === 0, 1500);
    });
  });

  it('explains an instruction', async () => {
    const { editor } = spec;
    const hover = editor.page.locator('.monaco-hover', { hasText: 'VM exits in Dune mode' });
    await waitFor('the hover', async () => {
      await editor.page.mouse.move(5, 5);
      await word('vmcall').hover();
      return until(() => hover.isVisible(), 3000);
    });
    await hover.filter({ hasText: 'VMCALL (18), always' }).waitFor();
    await hover.filter({ hasText: '0f 01 c1' }).waitFor();
    await editor.screenshot('2 hover');
  });

  it('renames a label and what refers to it', async () => {
    const { workbench, editor } = spec;
    await workbench.openFile('asm-pagefault/asm-pagefault.s', lineOf(source(), 'jne	wrong_address'));
    await word('wrong_address').click();
    await editor.page.keyboard.press('F2');
    const box = editor.page.locator('.rename-box input');
    await box.waitFor();
    await box.fill('elsewhere');
    await editor.page.keyboard.press('Enter');
    await box.waitFor({ state: 'hidden' });
    await editor.page.locator('.view-line', { hasText: /jne\s+elsewhere/ }).waitFor();
    await workbench.openFile('asm-pagefault/asm-pagefault.s', lineOf(source(), 'wrong_address:'));
    await editor.page.locator('.view-line', { hasText: 'elsewhere:' }).waitFor();
    await editor.screenshot('3 rename');
  });

  it('offers to debug where the entry is included', async () => {
    const { workbench, editor } = spec;
    await workbench.openFile('asm-pagefault/asm-pagefault.s', lineOf(source(), '.include'));
    const lens = editor.page.locator('.codelens-decoration a', { hasText: 'Debug' });
    await lens.waitFor();
    await editor.screenshot('4 lens');
    // Until VS Code has asked for the lenses of the changed text, those it shows do nothing.
    await waitFor(
      'a session to end with exit code 42',
      async () => {
        await lens.click();
        await workbench.console.show();
        return until(async () => (await workbench.console.text()).includes('ended with exit code 42'), 5000);
      },
      30_000,
    );
  });

  const source = (): string => join(spec.editor.workspace, 'asm-pagefault/asm-pagefault.s');
});
