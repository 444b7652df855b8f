/** A breakpoint at addresses: source, function or instruction. Conditions, hit counts and log points are the same for all. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Debuggee } from '../debuggee.ts';
import type { BreakpointKind } from '../execution/plan.ts';
import { describeError, ExpressionError } from '../expressions/errors.ts';
import { evaluate, evaluateCondition } from '../expressions/evaluate.ts';
import { parseExpression } from '../expressions/parser.ts';
import { formatValue } from '../symbols/format.ts';
import type { FrameScope } from '../expressions/scope.ts';
import { hitTest, type HitTest } from './hit-count.ts';

export interface BreakpointOptions {
  readonly condition?: string;
  readonly hitCondition?: string;
  readonly logMessage?: string;
}

export type Hit = { readonly stop: true; readonly note?: string } | { readonly stop: false };

export class AddressBreakpoint {
  addresses: readonly bigint[] = [];
  /** Images they are addresses of; empty for an address of any. */
  images: readonly string[] = [];
  /** Where it was bound. */
  path: string | undefined;
  line: number | undefined;
  /** Why it is not bound, or not accepted. */
  message: string | undefined;
  #hits = 0;
  readonly #hitTest: HitTest | undefined;

  constructor(
    readonly id: number,
    readonly kind: BreakpointKind,
    readonly options: BreakpointOptions,
  ) {
    try {
      if (options.condition) parseExpression(options.condition, () => false);
      if (options.hitCondition) this.#hitTest = hitTest(options.hitCondition);
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      this.message = `The condition is not understood: ${describeError(error)}`;
    }
  }

  /** Refused for good: it must not be bound. */
  get refused(): boolean {
    return this.message !== undefined && this.addresses.length === 0 && this.line === undefined;
  }
  get verified(): boolean {
    return this.addresses.length > 0;
  }

  /** A thread has come to one of its addresses. */
  hit(debuggee: Debuggee, scope: FrameScope): Hit {
    const { condition, logMessage } = this.options;
    try {
      if (condition && !evaluateCondition(condition, scope)) return { stop: false };
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      return {
        stop: true,
        note: `The breakpoint's condition '${condition}' cannot be evaluated: ${describeError(error)}`,
      };
    }
    this.#hits++;
    if (this.#hitTest && !this.#hitTest(this.#hits)) return { stop: false };
    if (logMessage === undefined) return { stop: true };
    debuggee.session.console(interpolate(logMessage, scope));
    return { stop: false };
  }

  restart(): void {
    this.#hits = 0;
  }

  protocol(source?: DebugProtocol.Source): DebugProtocol.Breakpoint {
    const [address] = this.addresses;
    return {
      id: this.id,
      verified: this.verified,
      message: this.message,
      source,
      line: this.line,
      instructionReference: address === undefined ? undefined : `0x${address.toString(16)}`,
    };
  }
}

/** `{expression}` in a log message is replaced by its value. */
export function interpolate(message: string, scope: FrameScope): string {
  return message.replace(/\{([^{}]*)\}/g, (_, expression: string) => {
    try {
      const { value, format } = evaluate(expression, scope);
      return formatValue(value, { hex: format === 'x' });
    } catch (error) {
      if (error instanceof ExpressionError) return `<${describeError(error)}>`;
      throw error;
    }
  });
}
