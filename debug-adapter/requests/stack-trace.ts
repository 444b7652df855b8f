/** The frames of a thread, innermost first, across rings and modes. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { protocolFrame } from '../frames.ts';
import { defineRequest } from '../request.ts';

/** Frames sent to a client that does not say how many it wants. */
const DEFAULT_LEVELS = 200;

export const stackTrace = defineRequest<DebugProtocol.StackTraceArguments, DebugProtocol.StackTraceResponse['body']>({
  command: 'stackTrace',
  capabilities: { supportsDelayedStackTraceLoading: true },
  run({ debuggee }, args) {
    debuggee.requireStopped();
    const { frames, ids, total } = debuggee.stacks.frames(
      args.threadId,
      args.startFrame ?? 0,
      args.levels || DEFAULT_LEVELS,
    );
    return {
      stackFrames: frames.map((frame, index) => protocolFrame(debuggee, frame, ids[index]!)),
      totalFrames: total,
    };
  },
});
