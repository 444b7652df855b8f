/** The VMCS of the thread's vCPU: what a VM entry would come to, every field by name, control bits to toggle, what exits, and answers to "would this exit?". */
import * as vscode from 'vscode';
import type {
  SetVmcsFieldArguments,
  SetVmcsFieldResponse,
  VmcsArguments,
  VmcsFieldBody,
  VmcsResponse,
  WouldExitResponse,
} from '../../debug-adapter/protocol.ts';
import type { ActiveSession } from '../session.ts';
import { pathOf } from '../programs.ts';
import { answerNode } from './exit-answer.ts';
import { MachineView } from './machine-view.ts';
import type { Node } from './tree.ts';
import { checkNode, entryNode, listNodes, violatedChecks } from './vmcs-nodes.ts';

type Which = NonNullable<VmcsArguments['which']>;

const GROUPS: readonly (readonly [VmcsFieldBody['group'], string])[] = [
  ['exit-information', 'Exit information'],
  ['guest', 'Guest state'],
  ['control', 'Controls'],
  ['host', 'Host state'],
];

/** Fields that say why the last exit happened come first: exit reason, exit qualification, guest-linear and guest-physical address. */
const FIRST = [0x4402, 0x6400, 0x640a, 0x2400];

/** What commands on a field or a bit need. */
interface FieldData {
  readonly field: VmcsFieldBody;
  readonly which: Which;
  readonly part?: VmcsFieldBody['parts'][number];
}

export class VmcsView extends MachineView {
  /** Questions whose answers are shown, the newest first. */
  #questions: string[] = [];

  constructor(session: ActiveSession) {
    super('dune.vmcs', session);
    this.subscriptions.push(
      vscode.commands.registerCommand('dune.setVmcsField', (node: Node) => this.#edit(node.data as FieldData)),
      vscode.commands.registerCommand('dune.toggleVmcsBit', (node: Node) => this.#toggle(node.data as FieldData)),
      vscode.commands.registerCommand('dune.revealVmcsField', (encoding: number) => this.#reveal(encoding)),
      vscode.commands.registerCommand('dune.wouldExit', (question?: unknown) =>
        this.#ask(typeof question === 'string' ? question : undefined),
      ),
      vscode.commands.registerCommand('dune.wouldExitHere', () => this.#ask(instructionAtCursor())),
      vscode.commands.registerCommand('dune.hideExitAnswer', (node: Node) => this.#hide(node.data as string)),
    );
  }

  protected async roots(): Promise<Node[]> {
    const vmcs = await this.#request('current');
    this.tree.view.description = vmcs.title;
    if (vmcs.message) return [{ id: 'message', label: vmcs.message, icon: 'info' }];
    const answers = await Promise.all(this.#questions.map((question) => this.#answer(question)));
    const what: Node = {
      id: 'exits',
      label: 'What exits',
      description: 'bitmaps, masks and lists in words',
      icon: 'symbol-event',
      children: () => listNodes(vmcs.lists),
    };
    return [...entryNode(vmcs), ...answers, ...this.#groups('current', vmcs), what, ...this.#shadow(vmcs)];
  }

  #request(which: Which): Promise<VmcsResponse> {
    const args: VmcsArguments = { threadId: this.session.threadId, which };
    return this.session.request('dune/vmcs', args);
  }

  #shadow({ shadow }: VmcsResponse): Node[] {
    if (!shadow) return [];
    const children = async (): Promise<Node[]> => this.#groups('shadow', await this.#request('shadow'));
    const use = shadow.inUse ? 'VMREAD and VMWRITE of the guest go there' : '"VMCS shadowing" is 0';
    const description = `hpa:${shadow.hpa}, ${use}`;
    return [{ id: 'shadow', label: 'Shadow VMCS', description, icon: 'symbol-namespace', children }];
  }

  #groups(which: Which, vmcs: VmcsResponse): Node[] {
    return GROUPS.map(([group, label]) => {
      const fields = inOrder(vmcs.fields.filter((field) => field.group === group));
      const violated = fields.filter((field) => violatedChecks(vmcs, field).length > 0).length;
      return {
        id: which === 'current' ? group : `${which}/${group}`,
        label,
        description: violated > 0 ? `${violated} violating a check` : undefined,
        icon: violated > 0 ? 'error' : 'symbol-namespace',
        expanded: which === 'current' && group === 'exit-information',
        children: () => fields.map((field) => this.#field(which, field, vmcs)),
      };
    });
  }

  #field(which: Which, field: VmcsFieldBody, vmcs: VmcsResponse): Node {
    const id = fieldId(which, field.encoding);
    const encoding = field.encoding.toString(16).padStart(4, '0');
    const violated = violatedChecks(vmcs, field);
    const bits = `Encoding ${encoding}h, ${field.bits} bits${field.writable ? '' : ', read-only'}`;
    const wants = violated.map((check) => `✗ wants ${check.wants}${check.because ? `: ${check.because}` : ''}`);
    return {
      id,
      label: field.name,
      description: field.text ? `${field.value}  ${field.text}` : field.value,
      tooltip: [bits, ...wants].join('\n'),
      icon: violated.length > 0 ? 'error' : undefined,
      context: field.writable ? 'dune.vmcsField' : undefined,
      data: { field, which } satisfies FieldData,
      children:
        field.parts.length + violated.length > 0
          ? () => [
              ...violated.map((check) => checkNode(id, check)),
              ...field.parts.map((part) => partNode(id, { field, which, part })),
            ]
          : undefined,
    };
  }

  async #edit({ field, which }: FieldData): Promise<void> {
    const value = await vscode.window.showInputBox({
      title: `Set ${field.name}`,
      value: field.value,
      validateInput: (text) => (/^(0x[0-9a-f]+|\d+)$/i.test(text.trim()) ? undefined : 'A number, e.g. 0x1f'),
    });
    if (value === undefined) return;
    const hex = `0x${BigInt(value.trim()).toString(16)}`;
    await this.#set(`${field.name} = ${hex}`, { encoding: field.encoding, value: hex, which });
  }

  async #toggle({ field, part, which }: FieldData): Promise<void> {
    if (part?.bit === undefined) return;
    const value = part.value === '0x0' ? '0x1' : '0x0';
    const { encoding } = field;
    await this.#set(`"${part.name}" = ${Number(value)}`, { encoding, value, bit: part.bit, which });
  }

  /** Writes, and says at once what that does to the checks of a VM entry. */
  #set(what: string, change: Omit<SetVmcsFieldArguments, 'threadId'>): Promise<void> {
    return this.attempt(async () => {
      const args: SetVmcsFieldArguments = { threadId: this.session.threadId, ...change };
      const { violated, mended } = await this.session.request<SetVmcsFieldResponse>('dune/setVmcsField', args);
      const [first] = violated;
      const more = violated.length > 1 ? ` and ${violated.length - 1} more` : '';
      const now = first
        ? `violates ${first.id}${more}: wants ${first.wants}; found ${first.found}${first.because ? `: ${first.because}` : ''} (${first.section})`
        : mended.length > 0
          ? `${mended.join(', ')} ${mended.length === 1 ? 'holds' : 'hold'} again`
          : 'violates no further check';
      this.tree.view.message = `${what}: ${now}`;
    });
  }

  /** Opens the tree down to a field and selects it. */
  #reveal(encoding: number): Promise<void> {
    return this.attempt(async () => {
      for (const group of await this.tree.getChildren()) {
        if (!GROUPS.some(([name]) => name === group.id)) continue;
        const fields = await this.tree.getChildren(group);
        const found = fields.find(({ id }) => id === fieldId('current', encoding));
        if (found) return this.tree.view.reveal(found, { select: true, focus: true, expand: true });
      }
    });
  }

  async #ask(question: string | undefined): Promise<void> {
    if (!this.session.isStopped) {
      void vscode.window.showInformationMessage('What would exit can be asked while a Dune program is stopped.');
      return;
    }
    const asked =
      question ??
      (await vscode.window.showInputBox({
        title: 'Would this exit?',
        prompt: 'An instruction, an MSR, a port, an exception or a control register; empty for the instruction at RIP',
        placeHolder: 'rdmsr EFER, wrmsr 0x1b 0xfee00900, in 0x60, #PF 0x6, cr0 0x80010031, mov %rax, %cr3',
        value: this.#questions[0],
      }));
    if (asked === undefined) return;
    this.#questions = [asked.trim(), ...this.#questions.filter((one) => one !== asked.trim())];
    this.tree.refresh();
    await vscode.commands.executeCommand('dune.vmcs.focus');
  }
  #answer(question: string): Promise<Node> {
    const args = { threadId: this.session.threadId, question };
    return answerNode(question, this.session.request<WouldExitResponse>('dune/wouldExit', args));
  }
  #hide(question: string): void {
    this.#questions = this.#questions.filter((one) => one !== question);
    this.tree.refresh();
  }
}

function fieldId(which: Which, encoding: number): string {
  return which === 'current' ? `field/${encoding}` : `${which}/field/${encoding}`;
}

function partNode(parent: string, data: Required<FieldData>): Node {
  const { name, value, meaning, bit, fixed } = data.part;
  const wrong = fixed !== undefined && fixed !== value;
  const icon = value === '0x0' ? 'circle-outline' : 'circle-filled';
  const held = fixed === undefined ? '' : `\nThis processor holds it at ${Number(fixed)}.`;
  return {
    id: `${parent}/${name}`,
    label: name,
    description: [bit === undefined ? value : Number(value), meaning, wrong ? `(must be ${Number(fixed)})` : '']
      .filter((word) => word !== undefined && word !== '')
      .join('  '),
    tooltip: bit === undefined ? undefined : `Bit ${bit}${held}`,
    icon: bit === undefined ? undefined : wrong ? 'error' : icon,
    context: bit === undefined ? undefined : 'dune.vmcsBit',
    data,
  };
}

function inOrder(fields: readonly VmcsFieldBody[]): VmcsFieldBody[] {
  const first = FIRST.flatMap((encoding) => fields.find((field) => field.encoding === encoding) ?? []);
  return [...first, ...fields.filter((field) => !first.includes(field))];
}

const ASSEMBLY = /\.(s|S|asm|inc)$/;
const WITH_CODE = /\.(c|cc|cpp|cxx|h|hh|hpp|s|S|asm|inc)$/;

/** The code of the cursor's line; of assembly that has none in the guest, its text without labels and comments. Elsewhere the instruction at RIP is meant. */
function instructionAtCursor(): string {
  const editor = vscode.window.activeTextEditor;
  if (!editor || !WITH_CODE.test(editor.document.fileName)) return '';
  const { document, selection } = editor;
  const { line } = selection.active;
  const place = `line ${pathOf(document.uri)}:${line + 1}`;
  if (!ASSEMBLY.test(document.fileName)) return place;
  const instruction = document
    .lineAt(line)
    .text.replace(/(#|\/\/|\/\*|;).*$/, '')
    .replace(/^(\s*[\w.$]+:)+/, '')
    .trim();
  return instruction ? `${place} | ${instruction}` : place;
}
