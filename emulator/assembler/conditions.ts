/** Names of condition codes (SDM 1 appendix B) and of compare predicates (SDM 2A CMPPD table 3-1). */

/** All names of condition 0..15; the first is the one a disassembler prints. */
export const CONDITIONS: readonly (readonly string[])[] = [
  ['o'], ['no'], ['b', 'c', 'nae'], ['ae', 'nb', 'nc'], ['e', 'z'], ['ne', 'nz'], ['be', 'na'], ['a', 'nbe'],
  ['s'], ['ns'], ['p', 'pe'], ['np', 'po'], ['l', 'nge'], ['ge', 'nl'], ['le', 'ng'], ['g', 'nle'],
]; // prettier-ignore

/** Predicates of CMPPS and friends by number; the first eight exist without VEX. */
export const PREDICATES: readonly (readonly string[])[] = [
  ['eq', 'eq_oq'], ['lt', 'lt_os'], ['le', 'le_os'], ['unord', 'unord_q'],
  ['neq', 'neq_uq'], ['nlt', 'nlt_us'], ['nle', 'nle_us'], ['ord', 'ord_q'],
  ['eq_uq'], ['nge', 'nge_us'], ['ngt', 'ngt_us'], ['false', 'false_oq'],
  ['neq_oq'], ['ge', 'ge_os'], ['gt', 'gt_os'], ['true', 'true_uq'],
  ['eq_os'], ['lt_oq'], ['le_oq'], ['unord_s'], ['neq_us'], ['nlt_uq'], ['nle_uq'], ['ord_s'],
  ['eq_us'], ['nge_uq'], ['ngt_uq'], ['false_os'], ['neq_os'], ['ge_oq'], ['gt_oq'], ['true_us'],
]; // prettier-ignore

/** Immediates that PCLMULQDQ's other names stand for. */
export const CARRYLESS: readonly (readonly [name: string, immediate: number])[] = [
  ['lqlq', 0x00],
  ['hqlq', 0x01],
  ['lqhq', 0x10],
  ['hqhq', 0x11],
];
