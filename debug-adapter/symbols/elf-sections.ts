/** Section types of ELF (gABI, sh_type) that mean something here. */
export const enum SectionType {
  SymbolTable = 2,
  NoBits = 8,
  DynamicSymbols = 11,
}
