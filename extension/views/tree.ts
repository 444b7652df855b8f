/** A tree view over plain nodes: what is expanded is kept by id, and what changed since the last stop is marked. */
import * as vscode from 'vscode';

export interface Node {
  /** Stable from stop to stop. */
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
  /** Expanded until the user says otherwise. */
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
  readonly #subscriptions: vscode.Disposable[] = [];
  readonly #parents = new Map<string, Node | undefined>();
  /** What the user expanded and collapsed, also while the node is away. */
  readonly #expanded = new Map<string, boolean>();
  /** Values by node id: now, and at the stop before. */
  #values = new Map<string, string>();
  #before = new Map<string, string>();

  constructor(
    id: string,
    /** Top of the tree; an empty list shows the view's welcome text. */
    readonly roots: () => Promise<Node[]> | Node[],
    options: { readonly checkboxes?: boolean; readonly showCollapseAll?: boolean } = {},
  ) {
    const { checkboxes = false, showCollapseAll = true } = options;
    this.view = vscode.window.createTreeView(id, {
      treeDataProvider: this,
      showCollapseAll,
      manageCheckboxStateManually: checkboxes,
    });
    this.#subscriptions.push(
      this.#emitter,
      this.view,
      this.view.onDidExpandElement(({ element }) => this.#expanded.set(element.id, true)),
      this.view.onDidCollapseElement(({ element }) => this.#expanded.set(element.id, false)),
    );
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
  /** Another program: nothing that was shown is comparable. */
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
      return [{ id: `${node?.id ?? ''}/error`, label: (error as Error).message, icon: 'warning' }];
    }
  }

  getParent(node: Node): Node | undefined {
    return this.#parents.get(node.id);
  }

  getTreeItem(node: Node): vscode.TreeItem {
    const item = new vscode.TreeItem(node.label, this.#collapsibleState(node));
    item.id = node.id;
    item.description = node.description;
    item.tooltip = node.tooltip;
    item.contextValue = node.context;
    item.command = node.command;
    const before = this.#changedFrom(node);
    if (before !== undefined) {
      item.iconPath = new vscode.ThemeIcon(node.icon ?? 'circle-filled', CHANGED);
      item.tooltip = [node.tooltip, `before: ${before}`].filter(Boolean).join('\n');
    } else if (node.icon) item.iconPath = new vscode.ThemeIcon(node.icon);
    if (node.checked !== undefined) {
      const { Checked, Unchecked } = vscode.TreeItemCheckboxState;
      item.checkboxState = node.checked ? Checked : Unchecked;
    }
    return item;
  }

  #collapsibleState(node: Node): vscode.TreeItemCollapsibleState {
    const { Collapsed, Expanded, None } = vscode.TreeItemCollapsibleState;
    if (!node.children) return None;
    return (this.#expanded.get(node.id) ?? node.expanded) ? Expanded : Collapsed;
  }

  /** The value a node had at the stop before, if it has another one now. */
  #changedFrom(node: Node): string | undefined {
    if (node.description === undefined) return undefined;
    this.#values.set(node.id, node.description);
    const before = this.#before.get(node.id);
    return before === node.description ? undefined : before;
  }

  dispose(): void {
    for (const subscription of this.#subscriptions) subscription.dispose();
  }
}
