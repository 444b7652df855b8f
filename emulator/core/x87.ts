/** The x87 helpers that semantics call. */
export { x87Arithmetic, x87ArithmeticMemory, x87Unary } from './x87-arithmetic';
export { x87Compare, x87CompareFlags, x87CompareMemory, x87Examine, x87Test } from './x87-compare';
export {
  fxLoad,
  fxStore,
  x87ClearExceptions,
  x87Initialise,
  x87LoadEnvironment,
  x87LoadState,
  x87MaskAll,
  x87SetControl,
  x87Status,
  x87StoreEnvironment,
  x87StoreState,
} from './x87-image';
export {
  x87ConditionalMove,
  x87Constant,
  x87Exchange,
  x87Free,
  x87Load,
  x87Load80,
  x87LoadDecimal,
  x87LoadRegister,
  x87Rotate,
  x87Store,
  x87Store80,
  x87StoreDecimal,
  x87StoreInteger,
  x87StoreRegister,
  x87StoreUnchecked,
} from './x87-transfer';
export { x87Transcendental } from './x87-transcendental';
