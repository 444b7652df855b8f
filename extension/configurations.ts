/** Launch configurations: F5 with no launch.json, a dynamic list of programs, and errors that say what to do. */
import * as vscode from 'vscode';
import { BUILD_TASK_SOURCE, outputFor } from './build-task.ts';

const SOURCE = /\.(c|cc|cpp|cxx|s|S)$/;
const ELF_MAGIC = [0x7f, 0x45, 0x4c, 0x46];
/** Programs offered in the dynamic list. */
const MOST_OFFERED = 50;

export class DuneConfigurationProvider implements vscode.DebugConfigurationProvider {
  async provideDebugConfigurations(folder: vscode.WorkspaceFolder | undefined): Promise<vscode.DebugConfiguration[]> {
    if (!folder) return [];
    const files = await vscode.workspace.findFiles(
      new vscode.RelativePattern(folder, '**/*'),
      '**/node_modules/**',
      2000,
    );
    const programs: vscode.Uri[] = [];
    for (const file of files) {
      if (programs.length === MOST_OFFERED) break;
      if (!/\.[a-z0-9]+$/i.test(file.path) && (await isElfProgram(file))) programs.push(file);
    }
    return programs.map((program) => ({
      type: 'dune',
      request: 'launch',
      name: `Dune: ${vscode.workspace.asRelativePath(program)}`,
      program: pathOf(program),
    }));
  }

  /** Fills in what F5 without a launch.json leaves open. */
  async resolveDebugConfiguration(
    _folder: vscode.WorkspaceFolder | undefined,
    configuration: vscode.DebugConfiguration,
  ): Promise<vscode.DebugConfiguration | undefined> {
    if (configuration.type || configuration.request || configuration.name) return configuration;
    const file = activeFile();
    if (!file) return explain('Open a C source or a program, then press F5; or write a launch.json.');
    const base = { type: 'dune', request: 'launch', name: 'Debug with Dune' };
    if (await isElfProgram(file)) return { ...base, program: pathOf(file) };
    if (!SOURCE.test(file.path)) return explain(`${name(file)} is neither a program nor a C or assembly source.`);
    const program = outputFor(file);
    const preLaunchTask = `${BUILD_TASK_SOURCE}: build ${name(file)}`;
    if (await isElfProgram(program)) {
      // A Makefile's program beside its source is taken as it is, unless the source is newer.
      if (!(await newer(file, program))) return { ...base, program: pathOf(program) };
    }
    if (file.scheme !== 'file') return explain(`Build ${name(file)} first: there is no compiler in this window.`);
    return { ...base, program: pathOf(program), preLaunchTask };
  }

  resolveDebugConfigurationWithSubstitutedVariables(
    folder: vscode.WorkspaceFolder | undefined,
    configuration: vscode.DebugConfiguration,
  ): vscode.DebugConfiguration | undefined {
    if (!vscode.workspace.isTrusted) return explain('Trust this workspace first: debugging runs its programs.');
    if (!configuration.program)
      return explain('The launch configuration has no "program": give the path of a static ELF.');
    return { cwd: folder?.uri.fsPath, ...configuration };
  }
}

function explain(message: string): undefined {
  void vscode.window.showErrorMessage(message);
  return undefined;
}

function name(uri: vscode.Uri): string {
  return uri.path.slice(uri.path.lastIndexOf('/') + 1);
}

/** A plain path for files, else the whole URI: the adapter reads through the host it runs in. */
export function pathOf(uri: vscode.Uri): string {
  return uri.scheme === 'file' ? uri.fsPath : uri.toString();
}

/** The file in front, also when the editor cannot show it as text (a binary). */
function activeFile(): vscode.Uri | undefined {
  const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input as { uri?: vscode.Uri } | undefined;
  return vscode.window.activeTextEditor?.document.uri ?? input?.uri;
}

async function isElfProgram(uri: vscode.Uri): Promise<boolean> {
  try {
    const stat = await vscode.workspace.fs.stat(uri);
    if (stat.type !== vscode.FileType.File || stat.size < 64) return false;
    const head = await vscode.workspace.fs.readFile(uri);
    const executable = head[16] === 2 || head[16] === 3;
    return executable && ELF_MAGIC.every((byte, index) => head[index] === byte);
  } catch {
    return false; // absent
  }
}

async function newer(a: vscode.Uri, b: vscode.Uri): Promise<boolean> {
  const [first, second] = await Promise.all([vscode.workspace.fs.stat(a), vscode.workspace.fs.stat(b)]);
  return first.mtime > second.mtime;
}
