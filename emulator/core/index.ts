/** The AssemblyScript core: everything hot that is no instruction template. Its exports are imported by the interpreter. */
export { arithmeticFlags, condition } from './flags';
export * from './mmu';
export * from './int128';
export * from './integer';
export { segmentAddress } from './segments';
export * from './strings';
export {
  sseCompare,
  sseConvert,
  sseConvertPacked,
  sseHold,
  ssePacked,
  sseRelease,
  sseScalar,
} from './softfloat-sse';
export { fmaPacked, fmaScalar } from './softfloat-fma';
export { sseFromHalf, sseToHalf } from './softfloat-half';
export { loadMasked, storeMasked } from './mmu-masked';
export * from './x87';
export { compareStringsIndex, compareStringsMask, crc32c, sseDot, sseRound, sseRoundPacked } from './sse4';
export * from './crypto';
export { findBank, noteRoot, readKey, selectBank } from './bank-keys';
export { nextDirty } from './frames';
export { loadFields, saveFields } from './moves';
export { serveLeased } from './page-lease';
export { supplyPage } from './page-supply';
export { enterGuest, exitByViolation, exitGuest, mayInterrupt } from './vm-transitions';
export { enterHandler, returnFromHandler } from './transfer';
export { addBlock, blockRoom, clearBlocks, codeRecord, findBlock, linkFrame, removeBlock } from './code-blocks';
export { buildBlock, headAt, newTemplate } from './code-build';
