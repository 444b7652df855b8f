/** An expression that cannot be understood or evaluated: one sentence, and where in its text. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';

  constructor(
    message: string,
    /** Offset in the expression, and length of the part at fault. */
    readonly position: number,
    readonly length = 1,
  ) {
    super(message);
  }
}

/** "…at column 8", for one-line reports. */
export function describeError(error: ExpressionError): string {
  return `${error.message.replace(/\.$/, '')} (column ${error.position + 1}).`;
}
