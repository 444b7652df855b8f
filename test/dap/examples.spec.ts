import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assertGolden } from './golden.ts';
import { transcript, type Script } from './transcript.ts';

const examples = fileURLToPath(new URL('../../examples', import.meta.url));
const ALWAYS = ['abnormal', 'fatal-signal'];

const SCRIPTS: Readonly<Record<string, Omit<Script, 'program'>>> = {
  hello: {
    functions: ['main', 'page_fault', 'divide_error'],
    filters: [...ALWAYS, 'page-fault', 'exception'],
    scopes: ['Arguments', 'Privilege'],
  },
  pagefault: {
    functions: ['main'],
    filters: ALWAYS,
    conditions: [{ filterId: 'page-fault', condition: 'errorCode & 1 == 1' }],
  },
  syscalls: { functions: ['untrusted'], filters: [...ALWAYS, 'trapped-syscall'] },
  rings: { functions: ['user'], filters: [...ALWAYS, 'page-fault', 'exception', 'trapped-syscall'] },
  pcid: { functions: ['main'], filters: ALWAYS, conditions: [{ filterId: 'cr-write', condition: 'cr == 3' }] },
  signals: { filters: [...ALWAYS, 'signal'] },
  'fork-threads': { filters: [...ALWAYS, 'page-fault'] },
  'ept-violation': { filters: ALWAYS, conditions: [{ filterId: 'ept-violation', condition: '!resolved' }] },
  'triple-fault': { filters: ALWAYS },
  'cr-write': { filters: ALWAYS, conditions: [{ filterId: 'vm-exit', condition: 'reason == CR_ACCESS' }] },
  rdmsr: { filters: ALWAYS, conditions: [{ filterId: 'vm-exit', condition: 'reason == RDMSR' }] },
};

describe('examples in the debugger', () => {
  before(function () {
    if (!existsSync(join(examples, 'hello/hello'))) execFileSync('make', ['-s', '-C', examples]);
  });
  for (const [name, script] of Object.entries(SCRIPTS))
    it(name, async () => assertGolden(name, await transcript({ ...script, program: join(examples, name, name) })));
});
