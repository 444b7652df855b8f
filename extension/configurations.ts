/** Launch configurations: F5 with no launch.json, a dynamic list of programs, and errors that say what to do. */
import * as vscode from 'vscode';
import { buildDefinition } from './build-task.ts';
import {
  activeFile,
  baseName,
  findPrograms,
  isElfProgram,
  isMultibootKernel,
  isNewer,
  isSource,
  isWholeProgram,
  pathOf,
  programOf,
} from './programs.ts';

/** Programs offered in the dynamic list. */
const MOST_OFFERED = 50;

export class DuneConfigurationProvider implements vscode.DebugConfigurationProvider {
  async provideDebugConfigurations(folder: vscode.WorkspaceFolder | undefined): Promise<vscode.DebugConfiguration[]> {
    if (!folder) return [];
    const programs = await findPrograms(folder, MOST_OFFERED);
    return Promise.all(
      programs.map(async (program) => ({
        ...(await launch(program)),
        name: `Dune: ${vscode.workspace.asRelativePath(program)}`,
      })),
    );
  }

  /** Fills in what F5 without a launch.json leaves open. */
  async resolveDebugConfiguration(
    _folder: vscode.WorkspaceFolder | undefined,
    configuration: vscode.DebugConfiguration,
  ): Promise<vscode.DebugConfiguration | undefined> {
    if (configuration.type || configuration.request || configuration.name) return configuration;
    const file = activeFile();
    if (!file) return explain('Open a C source or a program and press F5 again, or write a launch.json.');
    return configurationFor(file);
  }

  resolveDebugConfigurationWithSubstitutedVariables(
    folder: vscode.WorkspaceFolder | undefined,
    configuration: vscode.DebugConfiguration,
  ): vscode.DebugConfiguration | undefined {
    if (!vscode.workspace.isTrusted) return explain('Trust this workspace first: debugging runs its programs.');
    const cwd = folder?.uri.scheme === 'file' ? { cwd: folder.uri.fsPath } : {};
    return { ...cwd, ...configuration };
  }
}

/** Debugs a file from a menu, or the one in front. */
export async function debugFile(uri?: vscode.Uri): Promise<void> {
  // F5 means the launch.json where there is one.
  if (!uri && hasLaunchConfigurations()) return vscode.commands.executeCommand('workbench.action.debug.start');
  const file = uri ?? activeFile();
  if (!file) return void explain('Open a C source or a program first.');
  const configuration = await configurationFor(file);
  if (configuration) await vscode.debug.startDebugging(vscode.workspace.getWorkspaceFolder(file), configuration);
}

function hasLaunchConfigurations(): boolean {
  return vscode.workspace.getConfiguration('launch').get<unknown[]>('configurations', []).length > 0;
}

/** How to debug a program or the program of a source; undefined, and a message, if there is no way. */
async function configurationFor(file: vscode.Uri): Promise<vscode.DebugConfiguration | undefined> {
  if ((await isElfProgram(file)) || (await isWholeProgram(file))) return launch(file);
  if (!isSource(file)) return explain(`${baseName(file)} is neither an ELF program nor a C or assembly source.`);
  const program = programOf(file);
  // A program beside its source was made by a Makefile that knows more than the task: it is taken while it is newer.
  if ((await isElfProgram(program)) && !(await isNewer(file, program))) return launch(program);
  if (file.scheme !== 'file') return explain(`Build ${baseName(file)} first: there is no compiler in this window.`);
  // Messages name a task by its label; only the file in front has one that is known by it.
  const isInFront = activeFile()?.toString() === file.toString();
  return {
    ...(await launch(program)),
    preLaunchTask: isInFront ? `dune: build ${baseName(file)}` : buildDefinition(file),
  };
}

async function launch(program: vscode.Uri): Promise<vscode.DebugConfiguration> {
  const machine = (await isMultibootKernel(program)) ? { machine: 'bare' } : {};
  return { type: 'dune', request: 'launch', name: `Debug ${baseName(program)}`, program: pathOf(program), ...machine };
}

function explain(message: string): undefined {
  void vscode.window.showErrorMessage(message);
  return undefined;
}
