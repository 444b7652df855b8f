/** Entry of the extension in VS Code for the web: adapter and language server run in workers. */
import * as vscode from 'vscode';
import { LanguageClient } from 'vscode-languageclient/browser';
import { activate as activateCommon } from './activate.ts';
import { clientOptions, startClient } from './language-client.ts';
import { readAssets, WorkerAdapter } from './worker-adapter.ts';

function worker(extension: vscode.Uri, name: string): Worker {
  return new Worker(vscode.Uri.joinPath(extension, 'dist', 'web', name).toString(true));
}

class AdapterWorkerFactory implements vscode.DebugAdapterDescriptorFactory {
  constructor(readonly extension: vscode.Uri) {}

  createDebugAdapterDescriptor(session: vscode.DebugSession): vscode.DebugAdapterDescriptor {
    const base = session.workspaceFolder?.uri ?? vscode.workspace.workspaceFolders?.[0]?.uri ?? this.extension;
    const adapter = new WorkerAdapter(worker(this.extension, 'adapter.js'), readAssets(this.extension), base);
    return new vscode.DebugAdapterInlineImplementation(adapter);
  }
}

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const { extensionUri } = context;
  activateCommon(context, new AdapterWorkerFactory(extensionUri));
  const client = new LanguageClient(
    'dune.assembly',
    'Dune Assembly',
    await clientOptions(extensionUri),
    worker(extensionUri, 'language-server.js'),
  );
  context.subscriptions.push(await startClient(client));
}
