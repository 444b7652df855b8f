/** Linux error numbers (asm-generic/errno.h), as system calls return them: negative. */
export const EPERM = -1n;
export const ENOENT = -2n;
export const ESRCH = -3n;
export const EINTR = -4n;
export const EIO = -5n;
export const ENXIO = -6n;
export const E2BIG = -7n;
export const ENOEXEC = -8n;
export const EBADF = -9n;
export const ECHILD = -10n;
export const EAGAIN = -11n;
export const ENOMEM = -12n;
export const EACCES = -13n;
export const EFAULT = -14n;
export const EBUSY = -16n;
export const EEXIST = -17n;
export const EXDEV = -18n;
export const ENODEV = -19n;
export const ENOTDIR = -20n;
export const EISDIR = -21n;
export const EINVAL = -22n;
export const ENFILE = -23n;
export const EMFILE = -24n;
export const ENOTTY = -25n;
export const EFBIG = -27n;
export const ENOSPC = -28n;
export const ESPIPE = -29n;
export const EROFS = -30n;
export const EPIPE = -32n;
export const ERANGE = -34n;
export const ENAMETOOLONG = -36n;
export const ENOSYS = -38n;
export const ENOTEMPTY = -39n;
export const ELOOP = -40n;
export const ENOTSUP = -95n;
export const EAFNOSUPPORT = -97n;
export const ETIMEDOUT = -110n;

/** Internal results of interrupted calls (include/linux/errno.h); user space never sees them, the Dune module does. */
export const ERESTARTSYS = -512n;
export const ERESTARTNOINTR = -513n;
export const ERESTARTNOHAND = -514n;
export const ERESTART_RESTARTBLOCK = -516n;

const NAMES: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  3: 'ESRCH',
  4: 'EINTR',
  5: 'EIO',
  6: 'ENXIO',
  7: 'E2BIG',
  8: 'ENOEXEC',
  9: 'EBADF',
  10: 'ECHILD',
  11: 'EAGAIN',
  12: 'ENOMEM',
  13: 'EACCES',
  14: 'EFAULT',
  16: 'EBUSY',
  17: 'EEXIST',
  18: 'EXDEV',
  19: 'ENODEV',
  20: 'ENOTDIR',
  21: 'EISDIR',
  22: 'EINVAL',
  23: 'ENFILE',
  24: 'EMFILE',
  25: 'ENOTTY',
  27: 'EFBIG',
  28: 'ENOSPC',
  29: 'ESPIPE',
  30: 'EROFS',
  32: 'EPIPE',
  34: 'ERANGE',
  36: 'ENAMETOOLONG',
  38: 'ENOSYS',
  39: 'ENOTEMPTY',
  40: 'ELOOP',
  95: 'EOPNOTSUPP',
  97: 'EAFNOSUPPORT',
  110: 'ETIMEDOUT',
  512: 'ERESTARTSYS',
  513: 'ERESTARTNOINTR',
  514: 'ERESTARTNOHAND',
  516: 'ERESTART_RESTARTBLOCK',
};

/** "ENOENT" for -2; undefined when the value is not an error. */
export function errnoName(result: bigint): string | undefined {
  return result < 0n && result >= -4095n ? (NAMES[Number(-result)] ?? `E${-result}`) : undefined;
}
