/** The VMCS of the thread's vCPU: every field by name, every control bit in words, violated entry checks on top. */
import * as vscode from 'vscode';
import type { VmcsFieldBody, VmcsResponse } from '../../debug-adapter/protocol.ts';
import type { ActiveSession } from '../session.ts';
import { MachineView } from './machine-view.ts';
import type { Node } from './tree.ts';

const GROUPS: readonly (readonly [VmcsFieldBody['group'], string])[] = [
  ['exit-information', 'Exit information'],
  ['guest', 'Guest state'],
  ['control', 'Controls'],
  ['host', 'Host state'],
];

/** Fields that say why the last exit happened come first: exit reason, exit qualification, guest-linear and guest-physical address. */
const FIRST = [0x4402, 0x6400, 0x640a, 0x2400];

export class VmcsView extends MachineView {
  constructor(session: ActiveSession) {
    super('dune.vmcs', session);
    this.subscriptions.push(
      vscode.commands.registerCommand('dune.setVmcsField', (node: Node) => this.#edit(node.data as VmcsFieldBody)),
    );
  }

  protected async roots(): Promise<Node[]> {
    const vmcs = await this.session.request<VmcsResponse>('dune/vmcs', { threadId: this.session.threadId });
    if (vmcs.message) return [{ id: 'message', label: vmcs.message, icon: 'info' }];
    const groups = GROUPS.map(([group, label]) => this.#group(group, label, vmcs));
    return vmcs.checks.length > 0 ? [this.#checks(vmcs), ...groups] : groups;
  }

  #group(group: VmcsFieldBody['group'], label: string, { fields, checks }: VmcsResponse): Node {
    const violated = new Set(checks.flatMap((check) => check.fields));
    return {
      id: group,
      label,
      icon: 'symbol-namespace',
      expanded: group === 'exit-information',
      children: () =>
        inOrder(fields.filter((field) => field.group === group)).map((field) => this.#field(field, violated)),
    };
  }

  #field(field: VmcsFieldBody, violated: ReadonlySet<number>): Node {
    const id = `field/${field.encoding}`;
    const encoding = field.encoding.toString(16).padStart(4, '0');
    return {
      id,
      label: field.name,
      description: field.text ? `${field.value}  ${field.text}` : field.value,
      tooltip: `Encoding ${encoding}h, ${field.bits} bits${field.writable ? '' : ', read-only'}`,
      icon: violated.has(field.encoding) ? 'error' : undefined,
      context: field.writable ? 'dune.vmcsField' : undefined,
      data: field,
      children:
        field.parts.length > 0
          ? () =>
              field.parts.map((part) => ({
                id: `${id}/${part.name}`,
                label: part.name,
                description: part.meaning ? `${part.value}  ${part.meaning}` : part.value,
              }))
          : undefined,
    };
  }

  #checks({ checks }: VmcsResponse): Node {
    return {
      id: 'checks',
      label: 'A VM entry now would fail',
      description: `${checks.length} violated`,
      icon: 'error',
      expanded: true,
      children: () =>
        checks.map((check) => ({
          id: `check/${check.id}`,
          label: check.wants,
          description: `found ${check.found}`,
          tooltip: `${check.id}, ${check.section}`,
          icon: 'error',
        })),
    };
  }

  async #edit(field: VmcsFieldBody): Promise<void> {
    const value = await vscode.window.showInputBox({
      title: `Set ${field.name}`,
      value: field.value,
      validateInput: (text) => (/^(0x[0-9a-f]+|\d+)$/i.test(text.trim()) ? undefined : 'A number, e.g. 0x1f'),
    });
    if (value === undefined) return;
    await this.attempt(async () => {
      const hex = `0x${BigInt(value.trim()).toString(16)}`;
      const { threadId } = this.session;
      await this.session.request('dune/setVmcsField', { threadId, encoding: field.encoding, value: hex });
    });
  }
}

function inOrder(fields: readonly VmcsFieldBody[]): VmcsFieldBody[] {
  const first = FIRST.flatMap((encoding) => fields.find((field) => field.encoding === encoding) ?? []);
  return [...first, ...fields.filter((field) => !first.includes(field))];
}
