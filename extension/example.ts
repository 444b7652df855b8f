/** The example that comes with the extension: it needs no compiler. */
import * as vscode from 'vscode';

/** Where the tour begins: the access that faults in Dune mode. */
const INTERESTING = /faults: the page is read-only/;

export async function debugExample(extension: vscode.Uri): Promise<void> {
  const folder = vscode.Uri.joinPath(extension, 'examples', 'prebuilt');
  const source = vscode.Uri.joinPath(folder, 'hello.c');
  const document = await vscode.workspace.openTextDocument(source);
  await vscode.window.showTextDocument(document);
  const lines = Array.from({ length: document.lineCount }, (_, line) => document.lineAt(line).text);
  const at = new vscode.Position(
    Math.max(
      0,
      lines.findIndex((text) => INTERESTING.test(text)),
    ),
    0,
  );
  if (!hasBreakpoint(source))
    vscode.debug.addBreakpoints([new vscode.SourceBreakpoint(new vscode.Location(source, at))]);
  await vscode.debug.startDebugging(undefined, {
    type: 'dune',
    request: 'launch',
    name: 'Dune example',
    program: vscode.Uri.joinPath(folder, 'hello').fsPath,
  });
}

function hasBreakpoint(source: vscode.Uri): boolean {
  return vscode.debug.breakpoints.some(
    (breakpoint) =>
      breakpoint instanceof vscode.SourceBreakpoint && breakpoint.location.uri.toString() === source.toString(),
  );
}
