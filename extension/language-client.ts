/** The client of the assembly language server: what both hosts of the extension share. */
import * as vscode from 'vscode';
import type { BaseLanguageClient, LanguageClientOptions } from 'vscode-languageclient';
import { READ_FILE, type InitializationOptions } from '../language-server/protocol.ts';

const LANGUAGE = 'gas';

function settings(): InitializationOptions {
  const assembly = vscode.workspace.getConfiguration('dune.assembly');
  return {
    encodingHints: assembly.get('encodingHints', 'off'),
    includeFolders: assembly.get<string[]>('includePath', []).flatMap(foldersOf),
  };
}

/** A folder, in each workspace folder if it is relative. */
function foldersOf(path: string): string[] {
  const folders = vscode.workspace.workspaceFolders?.map(({ uri }) => uri) ?? [];
  const found = path.startsWith('/')
    ? [folders[0]?.with({ path }) ?? vscode.Uri.file(path)]
    : folders.map((folder) => vscode.Uri.joinPath(folder, path));
  return found.map((uri) => `${uri.toString().replace(/\/$/, '')}/`);
}

export async function clientOptions(extension: vscode.Uri): Promise<LanguageClientOptions> {
  const header = vscode.Uri.joinPath(extension, 'dist/libdune/include/libdune/dune.h');
  // Without libdune there is nothing of it to complete.
  const libduneHeader = await vscode.workspace.fs.readFile(header).then(
    (bytes) => new TextDecoder().decode(bytes),
    () => '',
  );
  const initializationOptions: InitializationOptions = { libduneHeader, ...settings() };
  return {
    documentSelector: [{ language: LANGUAGE }],
    synchronize: { fileEvents: vscode.workspace.createFileSystemWatcher('**/*.{s,S,asm,inc,h}') },
    initializationOptions,
  };
}

/** Starts a client; it stops with the extension. */
export async function startClient(client: BaseLanguageClient): Promise<vscode.Disposable> {
  client.onRequest(READ_FILE, ({ uri }: { uri: string }) =>
    vscode.workspace.fs.readFile(vscode.Uri.parse(uri)).then(base64, () => null),
  );
  await client.start();
  const changes = vscode.workspace.onDidChangeConfiguration((event) => {
    if (event.affectsConfiguration('dune.assembly'))
      void client.sendNotification('workspace/didChangeConfiguration', { settings: settings() });
  });
  return vscode.Disposable.from(changes, { dispose: () => void client.stop() });
}

/** Bytes a `String.fromCharCode` may take at once. */
const CHUNK = 0x8000;

function base64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(text);
}
