/** AES, carry-less multiplication and SHA (SDM 1 5.12, 5.18). */
import { row } from './build.ts';
import type { OpcodeRow } from './row.ts';

const AES = { prefix: '66', sizes: [16], feature: 'aes' } as const;
const SHA = { prefix: 'NP', sizes: [16], feature: 'sha' } as const;

export const crypto: readonly OpcodeRow[] = [
  row('0F 38 DB /r', 'aesimc', 'Vx Wx', AES),
  row('0F 38 DC /r', 'aesenc', 'Vx Wx', AES),
  row('0F 38 DD /r', 'aesenclast', 'Vx Wx', AES),
  row('0F 38 DE /r', 'aesdec', 'Vx Wx', AES),
  row('0F 38 DF /r', 'aesdeclast', 'Vx Wx', AES),
  row('0F 3A DF /r', 'aeskeygenassist', 'Vx Wx Ib', AES),
  row('0F 3A 44 /r', 'pclmulqdq', 'Vx Wx Ib', { ...AES, feature: 'pclmulqdq' }),
  row('0F 38 C8 /r', 'sha1nexte', 'Vx Wx', SHA),
  row('0F 38 C9 /r', 'sha1msg1', 'Vx Wx', SHA),
  row('0F 38 CA /r', 'sha1msg2', 'Vx Wx', SHA),
  row('0F 38 CB /r', 'sha256rnds2', 'Vx Wx xmm0', SHA),
  row('0F 38 CC /r', 'sha256msg1', 'Vx Wx', SHA),
  row('0F 38 CD /r', 'sha256msg2', 'Vx Wx', SHA),
  row('0F 3A CC /r', 'sha1rnds4', 'Vx Wx Ib', SHA),
];
