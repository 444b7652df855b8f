/** General registers in the order of their numbers (SDM 2A table 3-1). */
export const GPR_NAMES: readonly string[] = [
  ...['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'],
  ...['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'],
];
/** As the manual writes them. */
export const GPR_TITLES: readonly string[] = GPR_NAMES.map((name) => name.toUpperCase());
