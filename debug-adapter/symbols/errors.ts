/** Unusable symbol input: one sentence that says what is wrong. Nothing else is ever thrown by this folder for bad bytes. */
export class SymbolError extends Error {
  override readonly name = 'SymbolError';
}
