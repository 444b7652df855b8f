/** Entry of the extension in the desktop and server hosts. */
import * as vscode from 'vscode';
import { activate as activateCommon } from './activate.ts';
import { BuildTaskProvider } from './build-task.ts';

/** The adapter runs in a process of its own: a busy emulator never slows the editor, and a crash of one is not one of the other. */
class AdapterProcessFactory implements vscode.DebugAdapterDescriptorFactory {
  constructor(readonly extension: vscode.Uri) {}

  createDebugAdapterDescriptor(): vscode.DebugAdapterDescriptor {
    const script = vscode.Uri.joinPath(this.extension, 'dist', 'adapter.mjs').fsPath;
    return new vscode.DebugAdapterExecutable(process.execPath, [script], { env: { ELECTRON_RUN_AS_NODE: '1' } });
  }
}

export function activate(context: vscode.ExtensionContext): void {
  activateCommon(context, new AdapterProcessFactory(context.extensionUri));
  const libdune = vscode.Uri.joinPath(context.extensionUri, 'dist', 'libdune');
  context.subscriptions.push(vscode.tasks.registerTaskProvider('dune', new BuildTaskProvider(libdune)));
}
