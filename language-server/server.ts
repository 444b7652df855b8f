/** The language server over any connection: which request is answered by what. */
import type { Connection, InitializeResult, ServerCapabilities } from 'vscode-languageserver';
import { TextDocument, type TextDocumentContentChangeEvent } from 'vscode-languageserver-textdocument';
import { codeLenses, inlayHints, SEMANTIC_LEGEND, semanticTokens, type EncodingHints } from './annotations.ts';
import { incomingCalls, outgoingCalls, prepareCallHierarchy } from './call-hierarchy.ts';
import { completion, resolveCompletion, signatureHelp } from './completion.ts';
import { format } from './formatting.ts';
import { hover } from './hover.ts';
import { librarySymbols, type LibrarySymbol } from './libdune.ts';
import { definition, highlights, references, rename, renameRange } from './navigation.ts';
import { documentSymbols, foldingRanges, workspaceSymbols } from './outline.ts';
import { READ_FILE, type InitializationOptions } from './protocol.ts';
import type { Source } from './source.ts';
import { Workspace } from './workspace.ts';

/** TextDocumentSyncKind.Incremental: the enumeration would bring the transport in. */
const INCREMENTAL = 2;

const CAPABILITIES: ServerCapabilities = {
  textDocumentSync: { openClose: true, change: INCREMENTAL },
  completionProvider: { triggerCharacters: ['%', '.', '$', '\\'], resolveProvider: true },
  hoverProvider: true,
  definitionProvider: true,
  referencesProvider: true,
  documentHighlightProvider: true,
  renameProvider: { prepareProvider: true },
  documentSymbolProvider: true,
  workspaceSymbolProvider: true,
  foldingRangeProvider: true,
  documentFormattingProvider: true,
  documentRangeFormattingProvider: true,
  signatureHelpProvider: { triggerCharacters: [' ', ','] },
  inlayHintProvider: true,
  codeLensProvider: {},
  callHierarchyProvider: true,
  semanticTokensProvider: { legend: SEMANTIC_LEGEND, full: true, range: true },
};

export interface Timers {
  /** Runs a task later; returns what forgets it. */
  schedule(task: () => void, milliseconds: number): () => void;
}

/** Answers the requests of a connection, which the caller makes and listens on. */
export function serve(connection: Connection, { schedule }: Timers): void {
  const documents = new Map<string, TextDocument>();
  let library: ReadonlyMap<string, LibrarySymbol> = new Map();
  let encodingHints: EncodingHints = 'off';
  const workspace = new Workspace({
    schedule,
    async readFile(uri) {
      const text = await connection.sendRequest<string | null>(READ_FILE, { uri });
      return text === null ? undefined : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    },
    publish: (uri, version, diagnostics) =>
      void connection.sendDiagnostics({ uri, diagnostics, ...(version === undefined ? {} : { version }) }),
  });

  connection.onInitialize(({ initializationOptions }): InitializeResult => {
    const options = initializationOptions as InitializationOptions | undefined;
    if (options?.libduneHeader) library = librarySymbols(options.libduneHeader);
    if (options?.encodingHints) encodingHints = options.encodingHints;
    if (options?.includeFolders) workspace.folders = options.includeFolders;
    return { capabilities: CAPABILITIES, serverInfo: { name: 'dune-assembly' } };
  });
  connection.onDidChangeConfiguration(({ settings }) => {
    const options = settings as InitializationOptions | undefined;
    encodingHints = options?.encodingHints ?? encodingHints;
    if (options?.includeFolders) workspace.folders = options.includeFolders;
    void connection.languages.inlayHint.refresh();
  });

  connection.onDidOpenTextDocument(({ textDocument: { uri, languageId, version, text } }) => {
    documents.set(uri, TextDocument.create(uri, languageId, version, text));
    workspace.open(uri, text, version);
  });
  connection.onDidChangeTextDocument(({ textDocument: { uri, version }, contentChanges }) => {
    const document = documents.get(uri);
    if (!document) return;
    TextDocument.update(document, contentChanges as TextDocumentContentChangeEvent[], version);
    workspace.change(uri, document.getText(), version);
  });
  connection.onDidCloseTextDocument(({ textDocument: { uri } }) => {
    documents.delete(uri);
    workspace.close(uri);
  });
  connection.onDidChangeWatchedFiles(({ changes }) => changes.forEach(({ uri }) => workspace.fileChanged(uri)));

  /** Answers for a source that is open, with what it includes loaded. */
  const at =
    <Params extends { textDocument: { uri: string } }, Result>(answer: (source: Source, params: Params) => Result) =>
    async (params: Params): Promise<Result | null> => {
      const source = await workspace.ready(params.textDocument.uri);
      return source ? answer(source, params) : null;
    };
  connection.onCompletion(at((source, { position }) => completion(source, position, library)));
  connection.onCompletionResolve((item) => resolveCompletion(item));
  connection.onHover(at((source, { position }) => hover(source, position, library) ?? null));
  connection.onDefinition(at((source, { position }) => definition(source, position)));
  connection.onReferences(
    at((source, { position, context }) => references(source, position, context.includeDeclaration)),
  );
  connection.onDocumentHighlight(at((source, { position }) => highlights(source, position)));
  connection.onPrepareRename(at((source, { position }) => renameRange(source, position) ?? null));
  connection.onRenameRequest(at((source, { position, newName }) => rename(source, position, newName)));
  connection.onDocumentSymbol(at((source) => documentSymbols(source)));
  connection.onWorkspaceSymbol(({ query }) => workspaceSymbols(workspace.sources, query));
  connection.onFoldingRanges(at((source) => foldingRanges(source)));
  connection.onDocumentFormatting(at(({ document }, { options }) => format(document, options)));
  connection.onDocumentRangeFormatting(at(({ document }, { options, range }) => format(document, options, range)));
  connection.onSignatureHelp(at((source, { position }) => signatureHelp(source, position) ?? null));
  connection.onCodeLens(at((source) => codeLenses(source)));
  connection.languages.inlayHint.on(at((source, { range }) => inlayHints(source, range, encodingHints)));
  const tokens = at(
    (source: Source, { range }: { textDocument: { uri: string }; range?: Parameters<typeof semanticTokens>[1] }) => ({
      data: semanticTokens(source, range),
    }),
  );
  connection.languages.semanticTokens.on(async (params) => (await tokens(params)) ?? { data: [] });
  connection.languages.semanticTokens.onRange(async (params) => (await tokens(params)) ?? { data: [] });
  connection.languages.callHierarchy.onPrepare(at((source, { position }) => prepareCallHierarchy(source, position)));
  connection.languages.callHierarchy.onIncomingCalls(async ({ item }) => {
    const source = await workspace.ready(item.uri);
    return source ? incomingCalls(source, item) : null;
  });
  connection.languages.callHierarchy.onOutgoingCalls(async ({ item }) => {
    const source = await workspace.ready(item.uri);
    return source ? outgoingCalls(source, item) : null;
  });
}
