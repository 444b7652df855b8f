/** The client of the assembly language server: what both hosts of the extension share. */
import * as vscode from 'vscode';
import type { BaseLanguageClient, LanguageClientOptions } from 'vscode-languageclient';
import { READ_FILE, type InitializationOptions } from '../language-server/protocol.ts';

const LANGUAGE = 'gas';

function encodingHints(): InitializationOptions {
  return { encodingHints: vscode.workspace.getConfiguration('dune.assembly').get('encodingHints', 'off') };
}

export async function clientOptions(extension: vscode.Uri): Promise<LanguageClientOptions> {
  const header = vscode.Uri.joinPath(extension, 'dist/libdune/include/libdune/dune.h');
  // Without libdune there is nothing of it to complete.
  const libduneHeader = await vscode.workspace.fs.readFile(header).then(
    (bytes) => new TextDecoder().decode(bytes),
    () => '',
  );
  const initializationOptions: InitializationOptions = { libduneHeader, ...encodingHints() };
  return {
    documentSelector: [{ language: LANGUAGE }],
    synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher('**/*.{s,S,asm,inc}') },
    initializationOptions,
  };
}

/** Starts a client; it stops with the extension. */
export async function startClient(client: BaseLanguageClient): Promise<vscode.Disposable> {
  client.onRequest(READ_FILE, ({ uri }: { uri: string }) =>
    vscode.workspace.fs.readFile(vscode.Uri.parse(uri)).then(base64, () => null),
  );
  await client.start();
  const settings = vscode.workspace.onDidChangeConfiguration((event) => {
    if (event.affectsConfiguration('dune.assembly'))
      void client.sendNotification('workspace/didChangeConfiguration', { settings: encodingHints() });
  });
  return vscode.Disposable.from(settings, { dispose: () => void client.stop() });
}

/** Bytes a `String.fromCharCode` may take at once. */
const CHUNK = 0x8000;

function base64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(text);
}
