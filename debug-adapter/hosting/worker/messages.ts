/** What the worker of the debug adapter and its client post to each other. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { HandedFile } from './memory-files.ts';

/** What the build made, as bytes. */
export interface WorkerAssets {
  readonly core: Uint8Array;
  readonly interpreter: Uint8Array;
  /** Text of dist/forms.json. */
  readonly forms: string;
}

export type ToWorker =
  | { readonly kind: 'assets'; readonly assets: WorkerAssets }
  | { readonly kind: 'files'; readonly files: readonly HandedFile[] }
  | { readonly kind: 'dap'; readonly message: unknown };

export type FromWorker = DebugProtocol.ProtocolMessage;
