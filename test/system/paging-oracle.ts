/**
 * What paging does, written straight from the text of SDM 3A 4.3 to 4.8 and from nothing else: the expected values of the generated paging cases. Plain
 * and slow on purpose; it shares no code with the walker.
 */

export type Mode = '32-bit' | 'PAE' | '4-level' | '5-level';

export interface Registers {
  readonly mode: Mode;
  /** MAXPHYADDR. */
  readonly physBits: number;
  readonly cpl: number;
  readonly wp: boolean;
  readonly pse: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  readonly pke: boolean;
  readonly nxe: boolean;
  /** RFLAGS.AC */
  readonly ac: boolean;
  readonly pkru: number;
}

export interface Access {
  readonly kind: 'read' | 'write' | 'fetch';
  /** An implicit supervisor-mode access, such as one to the GDT (4.6). */
  readonly implicit: boolean;
}

export interface Expected {
  /** Error code of the #PF; undefined: the access is made. */
  readonly fault: number | undefined;
  /** Physical address of the byte, if it is made. */
  readonly address: bigint;
  /** The entries as the access leaves them, top level first. */
  readonly entries: readonly bigint[];
}

const P = 1n;
const RW = 2n;
const US = 4n;
const A = 1n << 5n;
const D = 1n << 6n;
const PS = 1n << 7n;
const XD = 1n << 63n;

/** Level of the topmost entry in memory. */
export const TOP: Readonly<Record<Mode, number>> = { '32-bit': 2, PAE: 2, '4-level': 4, '5-level': 5 };

/** Bits `high` to `low`, both included. */
function bits(high: number, low: number): bigint {
  return high < low ? 0n : ((1n << BigInt(high - low + 1)) - 1n) << BigInt(low);
}

/** log2 of the bytes that one entry of a level covers. */
export function coverage(mode: Mode, level: number): number {
  return mode === '32-bit' ? [0, 12, 22][level]! : [0, 12, 21, 30, 39, 48][level]!;
}

/** Whether a present entry of the level maps a page: "page size" (tables 4-4 to 4-20). */
export function mapsPage(r: Registers, level: number, entry: bigint): boolean {
  if (level === 1) return true;
  if (level === 2) return (entry & PS) !== 0n && (r.mode !== '32-bit' || r.pse);
  return level === 3 && (entry & PS) !== 0n;
}

/** Bits that are reserved (must be 0) in a present entry. */
export function reservedBits(r: Registers, level: number, entry: bigint): bigint {
  const page = mapsPage(r, level, entry);
  if (r.mode === '32-bit') {
    // Table 4-4: bits (M-20):13 are bits (M-1):32 of the address, 21:(M-19) are reserved; M is the lesser of 40 and MAXPHYADDR.
    return level === 2 && page ? bits(21, Math.min(40, r.physBits) - 19) : 0n;
  }
  let reserved = r.nxe ? 0n : XD;
  // Tables 4-9 to 4-11: 62:M. Tables 4-15 to 4-20: 51:M.
  reserved |= r.mode === 'PAE' ? bits(62, r.physBits) : bits(51, r.physBits);
  if (level >= 4) reserved |= PS;
  if (page && level === 2) reserved |= bits(20, 13);
  if (page && level === 3) reserved |= bits(29, 13);
  return reserved;
}

function pageAddress(r: Registers, level: number, entry: bigint, linear: bigint): bigint {
  const offset = bits(coverage(r.mode, level) - 1, 0);
  if (r.mode === '32-bit' && level === 2) {
    const high = (entry & bits(20, 13)) << 19n;
    return high | (entry & bits(31, 22)) | (linear & offset);
  }
  const widest = r.mode === '32-bit' ? 31 : 51;
  return (entry & bits(widest, coverage(r.mode, level))) | (linear & offset);
}

interface Rights {
  readonly userModeAddress: boolean;
  readonly writableEverywhere: boolean;
  readonly executeDisabled: boolean;
  /** AD and WD of the page's key where protection keys apply. */
  readonly accessDisabled: boolean;
  readonly writeDisabled: boolean;
}

/** Section 4.6.1, paragraph by paragraph. */
function permits(r: Registers, access: Access, user: boolean, rights: Rights): boolean {
  const { userModeAddress, writableEverywhere } = rights;
  const fetchable = r.mode === '32-bit' || !r.nxe || !rights.executeDisabled;
  if (user) {
    if (!userModeAddress) return false;
    if (access.kind === 'fetch') return fetchable;
    if (access.kind === 'read') return keyPermits(r, access, user, rights);
    return writableEverywhere && keyPermits(r, access, user, rights);
  }
  if (access.kind === 'fetch') return userModeAddress && r.smep ? false : fetchable;
  if (!userModeAddress) return access.kind === 'read' || !r.wp || writableEverywhere;
  const smapAllows = !r.smap || (r.ac && !access.implicit);
  if (!smapAllows || !keyPermits(r, access, user, rights)) return false;
  return access.kind === 'read' || !r.wp || writableEverywhere;
}

/** Section 4.6.2. */
function keyPermits(r: Registers, access: Access, user: boolean, rights: Rights): boolean {
  if (rights.accessDisabled) return false;
  if (access.kind !== 'write' || !rights.writeDisabled) return true;
  return !user && !r.wp;
}

/** Section 4.7; `cause`: the bits that the way of failing gives. */
function errorCode(r: Registers, access: Access, user: boolean, cause: number): number {
  const fetchBit = access.kind === 'fetch' && (r.smep || (r.mode !== '32-bit' && r.nxe));
  return cause | (access.kind === 'write' ? 2 : 0) | (user ? 4 : 0) | (fetchBit ? 16 : 0);
}

/**
 * @param entries the entries that translate `linear`, from the top level down to the one that maps the page
 *
 * Accessed flags (4.8): of the entries that were used to go on. The one that ends the walk by a fault is left alone.
 */
export function oracle(r: Registers, access: Access, linear: bigint, entries: readonly bigint[]): Expected {
  const user = r.cpl === 3 && !access.implicit;
  const after = [...entries];
  const refuse = (cause: number): Expected => ({
    fault: errorCode(r, access, user, cause),
    address: 0n,
    entries: after,
  });
  for (const [index, entry] of entries.entries()) {
    const level = TOP[r.mode] - index;
    if (!(entry & P)) return refuse(0);
    if (entry & reservedBits(r, level, entry)) return refuse(1 | 8);
    if (!mapsPage(r, level, entry)) {
      after[index] = entry | A;
      continue;
    }
    const used = entries.slice(0, index + 1);
    const userModeAddress = used.every((one) => one & US);
    const keyed = r.pke && userModeAddress && (r.mode === '4-level' || r.mode === '5-level');
    const key = Number((entry >> 59n) & 15n);
    const rights: Rights = {
      userModeAddress,
      writableEverywhere: used.every((one) => one & RW),
      executeDisabled: used.some((one) => one & XD),
      accessDisabled: keyed && ((r.pkru >>> (2 * key)) & 1) === 1,
      writeDisabled: keyed && ((r.pkru >>> (2 * key + 1)) & 1) === 1,
    };
    if (!permits(r, access, user, rights)) {
      const byKey = access.kind !== 'fetch' && !keyPermits(r, access, user, rights);
      return refuse(1 | (byKey ? 32 : 0));
    }
    after[index] = entry | A | (access.kind === 'write' ? D : 0n);
    return { fault: undefined, address: pageAddress(r, level, entry, linear), entries: after };
  }
  throw new Error('no entry maps the page');
}
