/** Keeps the context key `dune.programInFront` true while an ELF program is the file in front: F5 then debugs it. */
import * as vscode from 'vscode';
import { activeFile, isElfProgram } from './programs.ts';

export function watchProgramInFront(): vscode.Disposable {
  let latest = 0;
  const update = async (): Promise<void> => {
    const turn = ++latest;
    const file = activeFile();
    const isProgram = file !== undefined && (await isElfProgram(file));
    if (turn === latest) await vscode.commands.executeCommand('setContext', 'dune.programInFront', isProgram);
  };
  void update();
  return vscode.Disposable.from(
    vscode.window.tabGroups.onDidChangeTabs(() => void update()),
    vscode.window.tabGroups.onDidChangeTabGroups(() => void update()),
  );
}
