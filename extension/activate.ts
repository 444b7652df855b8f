/** What both hosts of the extension (Node and web worker) set up. */
import * as vscode from 'vscode';
import { showAssemblyValues } from './assembly-values.ts';
import { debugFile, DuneConfigurationProvider } from './configurations.ts';
import { debugExample } from './example.ts';
import { watchProgramInFront } from './program-context.ts';
import { ActiveSession } from './session.ts';
import { EventBreakpointsView } from './views/event-breakpoints.ts';
import { FaultScreen } from './views/fault.ts';
import { syscallsView, vmExitsView } from './views/logs.ts';
import { PageTablesView } from './views/page-tables.ts';
import { TlbView } from './views/tlb.ts';
import { VmcsView } from './views/vmcs.ts';

/** `adapters` makes the debug adapter: a process of its own, or inline where there are no processes. */
export function activate(context: vscode.ExtensionContext, adapters: vscode.DebugAdapterDescriptorFactory): void {
  const configurations = new DuneConfigurationProvider();
  const { Dynamic } = vscode.DebugConfigurationProviderTriggerKind;
  const session = new ActiveSession();
  context.subscriptions.push(
    vscode.debug.registerDebugAdapterDescriptorFactory('dune', adapters),
    vscode.debug.registerDebugConfigurationProvider('dune', configurations),
    vscode.debug.registerDebugConfigurationProvider('dune', configurations, Dynamic),
    session,
    new PageTablesView(session),
    new VmcsView(session),
    new TlbView(session),
    new FaultScreen(session),
    vmExitsView(session),
    syscallsView(session),
    new EventBreakpointsView(session, context.workspaceState),
    watchProgramInFront(),
    showAssemblyValues(),
    vscode.commands.registerCommand('dune.debugFile', (uri?: vscode.Uri | string) =>
      debugFile(typeof uri === 'string' ? vscode.Uri.parse(uri) : uri),
    ),
    vscode.commands.registerCommand('dune.debugExample', () => debugExample(context.extensionUri)),
    vscode.commands.registerCommand('dune.revealSource', revealSource),
  );
}

/** @param viewColumn where to; absent: where the user is */
async function revealSource(path: string, line: number, viewColumn?: vscode.ViewColumn): Promise<void> {
  const uri = /^[a-z][\w+.-]+:\/\//i.test(path) ? vscode.Uri.parse(path) : vscode.Uri.file(path);
  const at = new vscode.Position(Math.max(0, line - 1), 0);
  await vscode.window.showTextDocument(uri, { selection: new vscode.Range(at, at), preserveFocus: true, viewColumn });
}
