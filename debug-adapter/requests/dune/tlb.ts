/** `dune/tlb`: what the TLBs hold, bank by bank, a part at a time; `dune/tlbEntry`: one entry beside what the tables say now. */
import type { TlbBank, TlbEntry } from '../../../emulator/mmu/api.ts';
import { isStale, rightsOf } from '../../../emulator/mmu/tlb-listing.ts';
import { bankBody, detailsBody, tlbEntryBody } from '../../presentation/faults.ts';
import { walkResponse } from '../../presentation/walk.ts';
import type { TlbArguments, TlbEntryArguments, TlbEntryResponse, TlbResponse } from '../../protocol.ts';
import { defineRequest, RequestError } from '../../request.ts';

const MOST_ENTRIES = 256;

export const tlb = defineRequest<TlbArguments, TlbResponse>({
  command: 'dune/tlb',
  run({ debuggee }, { filter = '', bank, start = 0, count = MOST_ENTRIES }) {
    debuggee.requireStopped();
    const { machine } = debuggee;
    const banks = machine.tlbBanks();
    const matches = parseFilter(filter);
    const byBank = new Map(banks.map((one) => [one.bank, one]));
    const found = machine.tlb().filter((entry) => matches(entry, byBank.get(entry.bank)!));
    const listed = found.filter((entry) => entry.bank === bank).sort((a, b) => (a.gva < b.gva ? -1 : 1));
    return {
      banks: banks.map((one) => {
        const own = found.filter((entry) => entry.bank === one.bank);
        return { ...bankBody(one), entries: own.length, stale: own.filter(isStale).length };
      }),
      entries: listed.slice(start, start + Math.min(count, MOST_ENTRIES)).map(tlbEntryBody),
    };
  },
});

export const tlbEntry = defineRequest<TlbEntryArguments, TlbEntryResponse>({
  command: 'dune/tlbEntry',
  run({ debuggee }, { bank, index }) {
    debuggee.requireStopped();
    const details = debuggee.machine.tlbEntry(bank, index);
    if (!details) throw new RequestError('The TLB has no such entry any more.');
    const thread = debuggee.machine.currentThread();
    return { ...detailsBody(debuggee, thread, details), walk: walkResponse(details.walk) };
  },
});

type Test = (entry: TlbEntry, bank: TlbBank) => boolean;

const WORDS: Readonly<Record<string, Test>> = {
  stale: (entry) => isStale(entry),
  global: (entry) => entry.global,
  large: (entry) => entry.pageSize > 4096,
  current: (_, bank) => bank.current,
  user: (_, bank) => bank.user,
  supervisor: (_, bank) => !bank.user,
};
const TAGS: Readonly<Record<string, (bank: TlbBank) => number>> = {
  cpu: ({ cpu }) => cpu,
  vpid: ({ vpid }) => vpid,
  pcid: ({ pcid }) => pcid,
};

/** Words that all have to hold: an address (of a page, linear or physical), `stale`, `global`, `pcid=1`, `W`... Throws one sentence for what is none. */
function parseFilter(text: string): Test {
  const tests = text.split(/\s+/).filter(Boolean).map(parseWord);
  return (entry, bank) => tests.every((test) => test(entry, bank));
}

function parseWord(word: string): Test {
  const known = WORDS[word.toLowerCase()];
  if (known) return known;
  if (/^[RWX]+$/.test(word)) return (entry) => [...word].every((letter) => rightsOf(entry).includes(letter));
  const tag = /^(cpu|vpid|pcid)=(\d+)$/i.exec(word);
  if (tag) return (_, bank) => TAGS[tag[1]!.toLowerCase()]!(bank) === Number(tag[2]);
  const address = /^(?:(gva|hpa):)?(0x[0-9a-f]+)$/i.exec(word);
  if (!address)
    throw new RequestError(
      `'${word}' is no filter: use an address, ${Object.keys(WORDS).join(', ')}, R, W, X, cpu=, vpid= or pcid=.`,
    );
  const page = BigInt(address[2]!) & ~0xfffn;
  return ({ gva, hpa }) => (address[1] !== 'hpa' && gva === page) || (address[1] !== 'gva' && BigInt(hpa) === page);
}
