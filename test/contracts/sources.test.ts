import { expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { loadContracts } from '#contracts/load.ts'
import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'

/** Pointers of the properties that neither say where they come from nor stand in something that does. */
function withoutSource(schema: JsonObject, at = ''): string[] {
  if (schema['x-source'] !== undefined) return []
  const { properties, items } = schema
  const members: [string, Json][] = isJsonObject(properties) ? Object.entries(properties) : []
  const own = members.flatMap(([name, member]) => {
    if (!isJsonObject(member) || member['x-source'] !== undefined) return []
    const inner = withoutSource(member, `${at}/${name}`)
    return [`${at}/${name}`, ...inner]
  })
  return isJsonObject(items) ? [...own, ...withoutSource(items, `${at}/*`)] : own
}

const contracts = loadContracts(PROJECT_ROOT).list()

test.each(contracts.map(({ ref, schemaDocument }) => [ref, schemaDocument] as const))(
  '%s names the source of every property',
  (_ref, schema) => expect(withoutSource(schema)).toEqual([]),
)

test('a property without a source is found, however deep', () => {
  const inner = { type: 'object', properties: { a: { type: 'string', 'x-source': 'x' }, b: { type: 'string' } } }
  expect(
    withoutSource({ properties: { list: { type: 'array', 'x-source': 'x', items: inner }, bare: inner } }),
  ).toEqual(['/bare', '/bare/b'])
})
