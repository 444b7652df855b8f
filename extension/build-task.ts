/** The `dune` task type: builds a C or assembly file against the packaged libdune with the user's compiler. */
import * as vscode from 'vscode';
import { activeFile, baseName, isSource, programOf } from './programs.ts';

export interface BuildDefinition extends vscode.TaskDefinition {
  readonly type: 'dune';
  /** Path of the C or assembly file. */
  readonly source: string;
  /** Program to make; default: the source without its extension. */
  readonly output?: string;
  /** Default: the setting `dune.compiler`. */
  readonly compiler?: string;
  /** Further arguments, after those of the setting `dune.compilerFlags`. */
  readonly flags?: string[];
}

/** Debug information, and a program at a fixed address that needs no loader. */
const FLAGS = ['-g', '-O1', '-static', '-fno-pie', '-no-pie', '-pthread'];

export function buildDefinition(source: vscode.Uri): BuildDefinition {
  return { type: 'dune', source: source.fsPath };
}

export class BuildTaskProvider implements vscode.TaskProvider {
  constructor(
    /** Folder that holds include/libdune/dune.h and libdune.a. */
    readonly libdune: vscode.Uri,
  ) {}

  provideTasks(): vscode.Task[] {
    const file = activeFile();
    if (file?.scheme !== 'file' || !isSource(file)) return [];
    return [this.#task(buildDefinition(file))];
  }

  resolveTask(task: vscode.Task): vscode.Task | undefined {
    const definition = task.definition as BuildDefinition;
    return typeof definition.source === 'string' ? this.#task(definition) : undefined;
  }

  #task(definition: BuildDefinition): vscode.Task {
    const source = vscode.Uri.file(definition.source);
    const settings = vscode.workspace.getConfiguration('dune', source);
    const args = [
      ...FLAGS,
      ...settings.get<string[]>('compilerFlags', []),
      ...(definition.flags ?? []),
      `-I${vscode.Uri.joinPath(this.libdune, 'include').fsPath}`,
      source.fsPath,
      vscode.Uri.joinPath(this.libdune, 'libdune.a').fsPath,
      '-o',
      definition.output ?? programOf(source).fsPath,
    ];
    const compiler = definition.compiler ?? settings.get<string>('compiler', 'gcc');
    const execution = new vscode.ProcessExecution(compiler, args);
    const scope = vscode.workspace.getWorkspaceFolder(source) ?? vscode.TaskScope.Workspace;
    const task = new vscode.Task(definition, scope, `build ${baseName(source)}`, 'dune', execution, '$dune-gcc');
    task.group = vscode.TaskGroup.Build;
    task.presentationOptions = { reveal: vscode.TaskRevealKind.Silent, clear: true };
    return task;
  }
}
