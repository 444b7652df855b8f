/** Runs inside a desktop VS Code (scripts/test-electron.ts): the main job once, through the extension API. */
import assert from 'node:assert/strict';
import * as vscode from 'vscode';

interface Stop {
  readonly reason: string;
  readonly threadId: number;
}

/** The event of a name from the adapter of the next session. */
function adapterEvent<Body>(name: string): Promise<Body> {
  return new Promise((resolve) => {
    const tracker = vscode.debug.registerDebugAdapterTrackerFactory('dune', {
      createDebugAdapterTracker: () => ({
        onDidSendMessage: (message: { type: string; event?: string; body: Body }) => {
          if (message.type !== 'event' || message.event !== name) return;
          tracker.dispose();
          resolve(message.body);
        },
      }),
    });
  });
}

export async function run(): Promise<void> {
  const [folder] = vscode.workspace.workspaceFolders ?? [];
  assert.ok(folder, 'the examples are open');
  const program = vscode.Uri.joinPath(folder.uri, 'prebuilt/hello').fsPath;
  vscode.debug.addBreakpoints([new vscode.FunctionBreakpoint('page_fault')]);
  const stopped = adapterEvent<Stop>('stopped');
  const exited = adapterEvent<{ exitCode: number }>('exited');
  const started = await vscode.debug.startDebugging(folder, {
    type: 'dune',
    request: 'launch',
    name: 'hello',
    program,
  });
  assert.ok(started, 'the session starts');
  const { reason, threadId } = await stopped;
  assert.equal(reason, 'function breakpoint');
  const session = vscode.debug.activeDebugSession;
  assert.ok(session);
  const { fields } = (await session.customRequest('dune/vmcs', { threadId })) as { fields: unknown[] };
  assert.ok(fields.length > 100, 'the VMCS has its fields');
  await session.customRequest('continue', { threadId });
  assert.equal((await exited).exitCode, 0);
}
