import { cpSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { lineOf } from './support/source.ts';
import { useEditor } from './support/spec.ts';
import { waitFor } from './support/until.ts';

const examples = fileURLToPath(new URL('../../examples', import.meta.url));

/** As README.md has it; the example was compiled elsewhere. */
const CONFIGURATION = {
  type: 'dune',
  request: 'launch',
  name: 'tiny-hypervisor',
  machine: 'bare',
  program: '${workspaceFolder}/tiny-hypervisor/tiny-hypervisor',
  guestSymbols: ['${workspaceFolder}/tiny-hypervisor/guest'],
  sourceMap: { [examples]: '${workspaceFolder}' },
};

/** The example alone, with its configuration. */
function workspace(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dune-hypervisor-'));
  cpSync(join(examples, 'tiny-hypervisor'), join(folder, 'tiny-hypervisor'), { recursive: true });
  mkdirSync(join(folder, '.vscode'));
  const launch = { version: '0.2.0', configurations: [CONFIGURATION] };
  writeFileSync(join(folder, '.vscode/launch.json'), JSON.stringify(launch));
  return folder;
}

describe('Debugging examples/tiny-hypervisor', () => {
  const spec = useEditor('hypervisor', { workspace: workspace() });
  const line = (file: string, text: string): number =>
    lineOf(join(spec.editor.workspace, 'tiny-hypervisor', file), text);

  it('stops in the source of the guest, with the frames of both levels', async () => {
    const { workbench, editor } = spec;
    const at = line('guest.c', 'print("\\n")');
    await workbench.openFile('tiny-hypervisor/guest.c', at);
    await workbench.clickGutter(at);
    await workbench.press('F5');
    await workbench.debug.show();
    await workbench.debug.stoppedAt('guest_main', `guest.c ${at}`);
    await workbench.debug.showsFrames([
      'guest_main',
      'guest_start',
      '[VM',
      'enter_guest',
      'run_guest',
      'hypervisor_main',
      'long_mode',
    ]);
    await workbench.console.shows('guest: this is tiny-hyperv');
    await editor.screenshot('1 guest');
  });

  it('shows variables and registers of the level of the frame that is chosen', async () => {
    const { workbench, editor } = spec;
    const { debug } = workbench;
    await (await debug.callStack.row('run_guest')).click();
    await debug.variables.expand('Privilege');
    await waitFor('the mode of the hypervisor', async () => /VMX root/.test(await debug.value('Mode')));
    await editor.screenshot('2 hypervisor frame');
    await (await debug.callStack.row('guest_start')).click();
    await waitFor('the mode of the guest', async () => /non-root/.test(await debug.value('Mode')));
  });

  it('shows the page tables of both levels and the EPT', async () => {
    const { workbench, editor } = spec;
    const tables = await workbench.duneView('Page Tables');
    for (const other of ['VMCS', 'VM Exits', 'Event Breakpoints', 'Trapped System Calls'])
      await (await workbench.duneView(other)).close();
    await tables.row(/^Page tables of CR3\s*CR3 0x10000/);
    await tables.row(/^EPT\s*EPTP 0x/);
    await tables.expand('Page tables of the hypervisor');
    await tables.expand(/^EPT/);
    await editor.screenshot('3 page tables');
  });

  it('steps over VMRESUME into the guest, and from its exit into the hypervisor', async () => {
    const { workbench, editor } = spec;
    const { debug } = workbench;
    await debug.show();
    const report = line('hypervisor.c', 'print("hypervisor: the guest reports');
    await workbench.openFile('tiny-hypervisor/hypervisor.c', report);
    await workbench.clickGutter(report);
    await workbench.press('F5');
    await debug.stoppedAt('handle_vmcall', `hypervisor.c ${report}`);
    await debug.callStack.row('[guest: last exit VMCALL]');
    await editor.screenshot('4 handler');
    const resume = line('boot.S', '1:  vmresume');
    await workbench.openFile('tiny-hypervisor/boot.S', resume);
    await workbench.clickGutter(resume);
    await workbench.press('F5');
    await debug.stoppedAt('enter_guest', `boot.S ${resume}`);
    await workbench.press('F10');
    await debug.stoppedAt('guest_main', 'guest.c');
    await editor.screenshot('5 stepped into the guest');
    await workbench.press('Shift+F11');
    await debug.stoppedAt('guest_start', 'guest.S');
    await workbench.press('Shift+F11');
    await debug.stoppedAt('enter_guest', 'boot.S');
    await editor.screenshot('6 stepped out to the hypervisor');
    await workbench.press('F5');
    await workbench.console.shows('ended with exit code 4');
  });
});
