/** The `dune` task type: builds a C file against the packaged libdune with the user's gcc. */
import * as vscode from 'vscode';

export const BUILD_TASK_SOURCE = 'dune';

interface BuildDefinition extends vscode.TaskDefinition {
  type: 'dune';
  /** Path of the C or assembly file. */
  source: string;
  /** Program to make; default: the source without its extension. */
  output?: string;
  /** Compiler; default gcc. */
  compiler?: string;
  /** Further arguments. */
  flags?: string[];
}

/** The program made of a source: the same path without the extension. */
export function outputFor(source: vscode.Uri): vscode.Uri {
  return source.with({ path: source.path.replace(/\.[^./]+$/, '') });
}

export class BuildTaskProvider implements vscode.TaskProvider {
  constructor(
    /** Folder that holds include/libdune/dune.h and libdune.a. */
    readonly libdune: vscode.Uri,
  ) {}

  provideTasks(): vscode.Task[] {
    const document = vscode.window.activeTextEditor?.document;
    if (!document || document.uri.scheme !== 'file' || !/\.(c|s|S)$/.test(document.fileName)) return [];
    return [this.#task({ type: 'dune', source: document.fileName })];
  }

  resolveTask(task: vscode.Task): vscode.Task | undefined {
    const definition = task.definition as BuildDefinition;
    return definition.source ? this.#task(definition) : undefined;
  }

  #task(definition: BuildDefinition): vscode.Task {
    const source = vscode.Uri.file(definition.source);
    const output = definition.output ?? outputFor(source).fsPath;
    const label = `build ${source.path.slice(source.path.lastIndexOf('/') + 1)}`;
    const args = [
      '-g',
      '-O1',
      '-static',
      '-no-pie',
      '-pthread',
      ...(definition.flags ?? []),
      `-I${vscode.Uri.joinPath(this.libdune, 'include').fsPath}`,
      source.fsPath,
      vscode.Uri.joinPath(this.libdune, 'libdune.a').fsPath,
      '-o',
      output,
    ];
    const execution = new vscode.ProcessExecution(definition.compiler ?? 'gcc', args);
    const scope = vscode.workspace.getWorkspaceFolder(source) ?? vscode.TaskScope.Workspace;
    const task = new vscode.Task(definition, scope, label, BUILD_TASK_SOURCE, execution, '$gcc');
    task.group = vscode.TaskGroup.Build;
    task.presentationOptions = { reveal: vscode.TaskRevealKind.Silent };
    return task;
  }
}
