/** Entry of the extension in the desktop and server hosts. */
import * as vscode from 'vscode';
import { LanguageClient, TransportKind } from 'vscode-languageclient/node';
import { activate as activateCommon } from './activate.ts';
import { BuildTaskProvider } from './build-task.ts';
import { clientOptions, startClient } from './language-client.ts';

/** The adapter runs in a process of its own: a busy emulator never slows the editor, and a crash of one is not one of the other. */
class AdapterProcessFactory implements vscode.DebugAdapterDescriptorFactory {
  constructor(readonly extension: vscode.Uri) {}

  createDebugAdapterDescriptor(): vscode.DebugAdapterDescriptor {
    const script = vscode.Uri.joinPath(this.extension, 'dist', 'adapter.mjs').fsPath;
    return new vscode.DebugAdapterExecutable(process.execPath, [script], { env: { ELECTRON_RUN_AS_NODE: '1' } });
  }
}

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  activateCommon(context, new AdapterProcessFactory(context.extensionUri));
  const libdune = vscode.Uri.joinPath(context.extensionUri, 'dist', 'libdune');
  context.subscriptions.push(vscode.tasks.registerTaskProvider('dune', new BuildTaskProvider(libdune)));
  const module = vscode.Uri.joinPath(context.extensionUri, 'dist', 'language-server.cjs').fsPath;
  const server = { module, transport: TransportKind.ipc };
  const options = await clientOptions(context.extensionUri);
  context.subscriptions.push(await startClient(new LanguageClient('dune.assembly', 'Dune Assembly', server, options)));
}
