import assert from 'node:assert/strict';
import type { DebugProtocol } from '@vscode/debugprotocol';
import fc from 'fast-check';
import { nodeHost } from './hosting/node/host.ts';
import { encodeMessage, MessageReader } from './hosting/framing.ts';
import { capabilities, findRequest, REQUESTS } from './registry.ts';
import { Session } from './session.ts';

/** The request that each advertised capability promises; those that promise arguments of others stand with them. */
const PROMISES: Readonly<Record<string, string>> = {
  supportsConfigurationDoneRequest: 'configurationDone',
  supportsRestartRequest: 'restart',
  supportsTerminateRequest: 'terminate',
  supportsFunctionBreakpoints: 'setFunctionBreakpoints',
  supportsInstructionBreakpoints: 'setInstructionBreakpoints',
  supportsConditionalBreakpoints: 'setBreakpoints',
  supportsHitConditionalBreakpoints: 'setBreakpoints',
  supportsLogPoints: 'setBreakpoints',
  supportsBreakpointLocationsRequest: 'breakpointLocations',
  supportsExceptionFilterOptions: 'setExceptionBreakpoints',
  exceptionBreakpointFilters: 'setExceptionBreakpoints',
  supportsExceptionInfoRequest: 'exceptionInfo',
  supportsDelayedStackTraceLoading: 'stackTrace',
  supportsSetVariable: 'setVariable',
  supportsSetExpression: 'setExpression',
  supportsEvaluateForHovers: 'evaluate',
  supportsClipboardContext: 'evaluate',
  supportsSteppingGranularity: 'next',
  supportsDisassembleRequest: 'disassemble',
  supportsReadMemoryRequest: 'readMemory',
  supportsWriteMemoryRequest: 'writeMemory',
  supportsLoadedSourcesRequest: 'loadedSources',
};

async function ask(
  session: Session,
  sent: DebugProtocol.ProtocolMessage[],
  message: object,
): Promise<DebugProtocol.Response> {
  const from = sent.length;
  session.receive(message);
  for (let turns = 0; turns < 1000; turns++) {
    const answer = sent.slice(from).find(({ type }) => type === 'response');
    if (answer) return answer as DebugProtocol.Response;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`no answer to ${JSON.stringify(message)}`);
}

describe('session', () => {
  it('advertises exactly what it implements', () => {
    for (const name of Object.keys(capabilities())) {
      assert.ok(PROMISES[name], `${name} is advertised but no request is known for it`);
      assert.ok(findRequest(PROMISES[name]), `${name} promises ${PROMISES[name]}`);
    }
    for (const [name, command] of Object.entries(PROMISES))
      assert.ok(
        !findRequest(command) || name in capabilities(),
        `${command} is implemented but ${name} is not advertised`,
      );
  });

  it('has every request once', () => {
    const commands = REQUESTS.map(({ command }) => command);
    assert.deepEqual(commands, [...new Set(commands)]);
  });

  it('answers every request before a launch with a sentence', async () => {
    const sent: DebugProtocol.ProtocolMessage[] = [];
    const session = new Session(nodeHost(), (message) => sent.push(message));
    for (const { command } of REQUESTS) {
      const answer = await ask(session, sent, { seq: 1, type: 'request', command, arguments: {} });
      if (!answer.success) assert.match(answer.message!, /^[A-Z'].*\.$/, command);
    }
  });

  it('answers malformed messages without falling: 2,000 of them', async function () {
    const seed = Number(process.env.SEED ?? Date.now() % 1e9);
    const sent: DebugProtocol.ProtocolMessage[] = [];
    const session = new Session(nodeHost(), (message) => sent.push(message));
    const commands = fc.oneof(fc.constantFrom(...REQUESTS.map(({ command }) => command)), fc.string());
    const message = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          seq: fc.nat(),
          type: fc.constant('request'),
          command: commands,
          arguments: fc.anything(),
        }),
      },
      { weight: 1, arbitrary: fc.anything() },
    );
    await fc.assert(
      fc.asyncProperty(message, async (sample) => {
        session.receive(sample);
        const request = sample as { type?: unknown } | null;
        if (typeof request === 'object' && request?.type === 'request') {
          const { success, message: why } = await ask(session, sent, { ...(sample as object), seq: 7 });
          assert.ok(success || (why !== undefined && why.length > 0));
        }
        sent.length = 0;
      }),
      { numRuns: 2000, seed },
    );
  });
});

describe('framing', () => {
  it('puts messages together again, however the bytes arrive', () => {
    const messages = [{ a: 1 }, { text: 'grüße' }, { list: [1, 2, 3] }];
    const bytes = messages.flatMap((message) => [...encodeMessage(message)]);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 40 }), (cuts) => {
        const got: unknown[] = [];
        const reader = new MessageReader((message) => got.push(message), assert.fail);
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          reader.push(Uint8Array.from(bytes.slice(at, at + cut)));
          at += cut;
        }
        assert.deepEqual(got, messages);
      }),
    );
  });

  it('complains of what is not a message and goes on', () => {
    const got: unknown[] = [];
    const complaints: string[] = [];
    const reader = new MessageReader(
      (message) => got.push(message),
      (sentence) => complaints.push(sentence),
    );
    const text = (content: string): void => reader.push(new TextEncoder().encode(content));
    text('Content-Length: nonsense\r\n\r\n');
    text('Content-Length: 3\r\n\r\n{x}');
    text('Content-Length: 2\r\n\r\n{}');
    assert.deepEqual(got, [{}]);
    assert.equal(complaints.length, 2);
    text('x'.repeat(10_000));
    assert.equal(complaints.length, 3);
  });
});
