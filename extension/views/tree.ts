/** A tree view over plain nodes: stable ids keep what is expanded, and a remembered value marks what changed since the last stop. */
import * as vscode from 'vscode';

export interface Node {
  /** Stable from stop to stop: the view keeps expansion by it. */
  readonly id: string;
  readonly label: string;
  /** Grey text after the label: the value. */
  readonly description?: string;
  readonly tooltip?: string;
  readonly icon?: string;
  /** `when` clauses of menus look at it. */
  readonly context?: string;
  readonly command?: vscode.Command;
  readonly checked?: boolean;
  readonly expanded?: boolean;
  /** Absent for a leaf. */
  readonly children?: () => Promise<Node[]> | Node[];
  /** What commands on this node need. */
  readonly data?: unknown;
}

const CHANGED = new vscode.ThemeColor('charts.orange');

export class NodeTree implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  readonly #emitter = new vscode.EventEmitter<Node | undefined>();
  readonly onDidChangeTreeData = this.#emitter.event;
  readonly view: vscode.TreeView<Node>;
  readonly #parents = new Map<string, Node | undefined>();
  /** Values by node id: now, and at the stop before. */
  #values = new Map<string, string>();
  #before = new Map<string, string>();

  constructor(
    id: string,
    /** Top of the tree; an empty list shows the view's welcome text. */
    readonly roots: () => Promise<Node[]> | Node[],
    /** Mark nodes whose description differs from the stop before. */
    readonly marksChanges = false,
  ) {
    this.view = vscode.window.createTreeView(id, { treeDataProvider: this, showCollapseAll: true });
  }

  /** A new stop: what is shown now becomes what changes are measured against. */
  advance(): void {
    this.#before = this.#values;
    this.#values = new Map(this.#before);
    this.refresh();
  }
  refresh(): void {
    this.#emitter.fire(undefined);
  }
  forget(): void {
    this.#before.clear();
    this.#values.clear();
    this.refresh();
  }

  async getChildren(node?: Node): Promise<Node[]> {
    try {
      const children = node ? ((await node.children?.()) ?? []) : await this.roots();
      for (const child of children) this.#parents.set(child.id, node);
      return children;
    } catch (error) {
      // A request that fails because the program went on meanwhile is not worth a message box.
      const label = (error as Error).message;
      return [{ id: `${node?.id ?? ''}/error`, label, icon: 'warning' }];
    }
  }

  getParent(node: Node): Node | undefined {
    return this.#parents.get(node.id);
  }

  getTreeItem(node: Node): vscode.TreeItem {
    const { Collapsed, Expanded, None } = vscode.TreeItemCollapsibleState;
    const item = new vscode.TreeItem(node.label, node.children ? (node.expanded ? Expanded : Collapsed) : None);
    item.id = node.id;
    item.description = node.description;
    item.tooltip = node.tooltip;
    item.contextValue = node.context;
    item.command = node.command;
    const changed = this.marksChanges && this.#changed(node);
    if (changed) item.iconPath = new vscode.ThemeIcon(node.icon ?? 'circle-filled', CHANGED);
    else if (node.icon) item.iconPath = new vscode.ThemeIcon(node.icon);
    if (changed) item.tooltip = [node.tooltip, `was ${this.#before.get(node.id)}`].filter(Boolean).join('\n');
    if (node.checked !== undefined)
      item.checkboxState = node.checked
        ? vscode.TreeItemCheckboxState.Checked
        : vscode.TreeItemCheckboxState.Unchecked;
    return item;
  }

  #changed(node: Node): boolean {
    if (node.description === undefined) return false;
    this.#values.set(node.id, node.description);
    const before = this.#before.get(node.id);
    return before !== undefined && before !== node.description;
  }

  dispose(): void {
    this.view.dispose();
    this.#emitter.dispose();
  }
}
