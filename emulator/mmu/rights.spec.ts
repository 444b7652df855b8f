/** What a walk gives in effect, and what decided; why entries cannot be used at all. */
import assert from 'node:assert/strict';
import * as L from '../cpu/layout.ts';
import type { Walk } from './api.ts';
import { effectiveRights, rightsSentence } from './rights.ts';
import { type TestMachine, createTestMachine } from './test-support.ts';
import { walkResult } from './walk-text.ts';

const PAGE = 0x1000n;
const TARGET = 0x40_0000n;
const P = 1n;
const W = 2n;
const U = 4n;
const AD = 0x60n;
const PS = 0x80n;
const NX = 1n << 63n;
const CR4 = 0xa0n;
const SMEP = 1n << 20n;
const SMAP = 1n << 21n;
const PKE = 1n << 22n;
const CR0 = 0x8001_0033n;
const WP = 0x1_0000n;

let m: TestMachine;
const inForce = (): void => m.mmu.banks.contextChanged();
const sentence = (access: Walk['access'], user = false): string =>
  rightsSentence(effectiveRights(m.mem, m.mmu.walk(PAGE, access, user)));
const result = (access: Walk['access'] = 'read'): string => walkResult(m.mmu.walk(PAGE, access));

describe('rights in effect', () => {
  beforeEach(() => {
    m = createTestMachine();
    m.mem.set64(L.CR4, CR4);
    inForce();
  });

  it('combine all levels, and name the level that decided', () => {
    m.map(PAGE, TARGET | P | AD, 1, 7n);
    assert.equal(
      sentence('write'),
      'rights wanted: write; given: read, execute (no write: R/W: PTE is read-only, and CR0.WP holds ring 0 to that)',
    );
    m.map(PAGE, TARGET | P | W | AD | NX);
    assert.equal(
      sentence('execute', true),
      "rights wanted: execute; given: none (no read: U/S: PTE is the supervisor's, the access was made in ring 3; " +
        "no write: U/S: PTE is the supervisor's, the access was made in ring 3; " +
        "no execute: U/S: PTE is the supervisor's, the access was made in ring 3, NX: set in PTE)",
    );
    m.mem.set64(L.CR0, CR0 & ~WP);
    m.map(PAGE, TARGET | P | AD);
    const [, write] = effectiveRights(m.mem, m.mmu.walk(PAGE, 'write', false));
    assert.deepEqual(write, {
      right: 'write',
      wanted: true,
      given: true,
      decidedBy: ['PTE is read-only, but CR0.WP is 0: ring 0 may write all the same'],
    });
  });

  it('know SMEP, SMAP with RFLAGS.AC, and protection keys', () => {
    m.map(PAGE, TARGET | P | W | U | AD | (3n << 59n));
    m.mem.set64(L.CR4, CR4 | SMEP | SMAP);
    assert.match(sentence('read'), /no read: SMAP: a user page, which ring 0 may not touch while RFLAGS.AC is 0/);
    assert.match(sentence('execute'), /no execute: SMEP: a user page, which ring 0 may not execute/);
    m.mem.set32(L.SYSTEM_FLAGS, 1 << 18);
    assert.match(sentence('read'), /^rights wanted: read; given: read, write \(no execute/);
    m.mem.set64(L.CR4, CR4 | PKE);
    m.mem.set32(L.PKRU, 2 << 6);
    assert.match(sentence('write', true), /given: read, execute \(no write: PKRU: key 3 denies writes\)/);
    m.mem.set32(L.PKRU, 1 << 6);
    assert.match(sentence('write', true), /given: execute \(no read: PKRU: key 3 denies access; no write/);
  });

  it('agree with the walker, in every combination', () => {
    for (const [table, leaf] of [0n, W, U, W | U].flatMap((a) => [0n, W, U, W | U].map((b) => [a, b] as const)))
      for (const nx of [0n, NX])
        for (const cr4 of [0n, SMEP, SMAP, SMEP | SMAP])
          for (const cr0 of [CR0, CR0 & ~WP])
            for (const user of [false, true]) {
              m.physical.fill(Number(m.cpu.cr3), 4096);
              m.map(PAGE, TARGET | P | leaf | AD, 1, P | AD | table | nx);
              m.mem.set64(L.CR4, CR4 | cr4);
              m.mem.set64(L.CR0, cr0);
              inForce();
              for (const access of ['read', 'write', 'execute'] as const) {
                const walk = m.mmu.walk(PAGE, access, user);
                const row = effectiveRights(m.mem, walk).find(({ wanted }) => wanted);
                assert.equal(
                  row?.given,
                  walk.result.kind === 'ok',
                  `${table} ${leaf} ${nx} ${cr4} ${cr0} ${user} ${access}`,
                );
              }
            }
  });

  it('of 32-bit and PAE paging', () => {
    m.mem.set64(L.MSR_EFER, 0n);
    m.mem.set64(L.CR4, 0x10n);
    const directory = Number(m.cpu.cr3);
    m.physical.write32(directory, 0x40_0000 | 0x83);
    inForce();
    assert.match(sentence('write', true), /no write: U\/S: PDE is the supervisor's/);
    m.physical.write32(directory, 0x40_0000 | 0x83 | (1 << 21));
    assert.match(result(), /PDE has a reserved bit set \(0x600083\): bit 21 of an entry that maps 4 MB/);
    m.mem.set64(L.CR4, 0x20n);
    m.mem.set64(L.PDPTE, BigInt(directory) | 1n);
    m.physical.write64(directory, TARGET | P | PS | (1n << 55n));
    assert.match(result(), /PDE has a reserved bit set .*: bit 55 \(PAE paging\)/);
    m.physical.write64(directory, TARGET | P | PS);
    assert.match(sentence('write'), /no write: R\/W: PDE is read-only, and CR0.WP/);
  });

  it('are not given where the walk ends before the page; reserved bits have their reasons', () => {
    m.map(PAGE, TARGET | P | W | (1n << 45n));
    assert.equal(sentence('read'), '');
    assert.match(result(), /PTE has a reserved bit set \(0x200000400003\): bit 45 \(physical addresses have 39 bits\)/);
    m.mem.set64(L.MSR_EFER, 0x501n);
    m.map(PAGE, TARGET | P | NX);
    assert.match(result(), /bit 63 \(EFER.NXE is 0\)/);
    m.map(PAGE, TARGET | P | PS | 0x4000n, 2);
    assert.match(result(), /bit 14 of an entry that maps a large page/);
  });

  describe('under EPT', () => {
    beforeEach(() => {
      m.mem.set64(L.EPTP, BigInt(m.frame()) | 0x1en);
      m.mem.set32(L.NON_ROOT, 1);
      inForce();
      for (let gpa = 0x10_0000; gpa < 0x14_0000; gpa += 4096) m.mapEpt(gpa, BigInt(gpa) | 0x37n, 1, 0x407n);
      m.map(PAGE, TARGET | P | W | U | AD);
    });

    it('come from both tables', () => {
      m.mapEpt(Number(TARGET), TARGET | 0x31n);
      assert.equal(
        sentence('write', true),
        'rights wanted: write; given: read (no write: EPT PTE does not give W; no execute: EPT PTE does not give X)',
      );
    });

    it('of execution by mode', () => {
      m.mem.set32(L.VMX_MODE, L.VMX_MODE_BASED_EXECUTE);
      m.mapEpt(Number(TARGET), TARGET | 0x37n, 1, 0x407n);
      assert.match(sentence('execute', true), /no execute: EPT PTE does not give XU/);
      assert.match(result('execute'), /EPT PTE gives R W X but no execution of user-mode addresses \(bit 10\)/);
    });

    it('misconfigurations have their reasons', () => {
      m.mapEpt(Number(TARGET), TARGET | 0x32n);
      assert.match(result(), /EPT misconfiguration: EPT PTE can never be valid \(0x400032\): it gives W without R/);
      m.mapEpt(Number(TARGET), TARGET | 0x1fn);
      assert.match(result(), /memory type 3 does not exist/);
      m.mapEpt(Number(TARGET), TARGET | 0x37n | (1n << 44n));
      assert.match(result(), /reserved bit 44 \(physical addresses have 39 bits\) set/);
      m.mapEpt(Number(TARGET), TARGET | 0xb7n | 0x3000n, 2);
      assert.match(result(), /reserved bits 13:12 set in an entry that maps a large page/);
      m.mapEpt(Number(TARGET), BigInt(m.frame()) | 0x17n, 2);
      assert.match(result(), /reserved bit 4 set in an entry that points to a table/);
    });
  });
});
