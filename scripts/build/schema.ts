/** JSON schemas, as launch.json completion and hovers use them, from the valibot schemas that check the same values. */
import type { BaseIssue, BaseSchema, DescriptionAction } from 'valibot';

type AnySchema = BaseSchema<unknown, unknown, BaseIssue<unknown>>;
export type JsonSchema = Record<string, unknown>;

/** What this reads of valibot's schema objects, which are plain data. */
interface Described {
  readonly type: string;
  readonly pipe?: readonly Described[];
  readonly entries?: Readonly<Record<string, Described>>;
  readonly item?: Described;
  readonly value?: Described;
  readonly wrapped?: Described;
  readonly options?: readonly unknown[];
  readonly default?: unknown;
  readonly requirement?: unknown;
}

export function jsonSchema(schema: AnySchema): JsonSchema {
  return convert(schema as unknown as Described);
}

function convert(schema: Described): JsonSchema {
  const actions = schema.pipe?.slice(1) ?? [];
  return Object.assign(base(schema), ...actions.map(refine)) as JsonSchema;
}

function base(schema: Described): JsonSchema {
  switch (schema.type) {
    case 'string':
    case 'boolean':
    case 'number':
      return { type: schema.type };
    case 'array':
      return { type: 'array', items: convert(schema.item!) };
    case 'record':
      return { type: 'object', additionalProperties: convert(schema.value!) };
    case 'object':
      return object(schema.entries!);
    case 'picklist':
      return { enum: schema.options };
    case 'union':
      return { anyOf: (schema.options as Described[]).map(convert) };
    case 'nullable':
      return { anyOf: [convert(schema.wrapped!), { type: 'null' }] };
    case 'optional':
      return { ...convert(schema.wrapped!), ...(schema.default === undefined ? {} : { default: schema.default }) };
    default:
      throw new Error(`scripts/build/schema.ts does not know valibot's '${schema.type}' yet.`);
  }
}

function object(entries: Readonly<Record<string, Described>>): JsonSchema {
  const properties = Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, convert(entry)]));
  const required = Object.keys(entries).filter((name) => entries[name]!.type !== 'optional');
  return { type: 'object', required, properties };
}

/** What an action of a pipe says about the value. */
function refine(action: Described): JsonSchema {
  switch (action.type) {
    case 'description':
      return { markdownDescription: (action as unknown as DescriptionAction<unknown, string>).description };
    case 'integer':
      return { type: 'integer' };
    case 'min_value':
      return { minimum: action.requirement };
    case 'max_value':
      return { maximum: action.requirement };
    case 'regex':
      return { pattern: (action.requirement as RegExp).source };
    case 'raw_check':
      return {};
    case 'non_empty':
      return { minLength: 1 };
    default:
      throw new Error(`scripts/build/schema.ts does not know valibot's action '${action.type}' yet.`);
  }
}
