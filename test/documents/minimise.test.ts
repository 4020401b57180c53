import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadContracts } from '#contracts/load.ts'
import { fieldsOf } from '#documents/minimise.ts'

const contracts = loadContracts(join(import.meta.dirname, '../..'))
const fields = (query: string, document: string, names: readonly string[]): string[] => {
  const parts = contracts.get(query)?.answers?.parts ?? []
  return parts.filter((part) => part.document === document).flatMap((part) => fieldsOf(part, parts, names))
}

test('a query of one document takes plain names, one of several the document in front', () => {
  expect(fields('business-licence-query@1', 'business-licence@1', ['entityName'])).toEqual(['entityName'])
  expect(fields('business-licence-query@1', 'business-licence@1', ['business-licence.entityName'])).toEqual([])
  const names = ['business-licence.status', 'property-certificate.use', 'entityName']
  expect(fields('one-licence-bundle@1', 'business-licence@1', names)).toEqual(['status'])
  expect(fields('one-licence-bundle@1', 'property-certificate@1', names)).toEqual(['use'])
})

test('whatever a grant names, of property only six things ever leave, and of an identity card one', () => {
  const everything = ['holders', 'remarks', 'businessNo', 'coOwnership', 'certificateNumber', 'registrar']
  const six = ['matched', 'currentOwner', 'location', 'use', 'unitCode', 'state']
  for (const { ref, answers } of contracts.list()) {
    for (const { document } of answers?.parts ?? []) {
      const name = document.replace('@1', '')
      if (name !== 'property-certificate' && name !== 'identity-card') continue
      const wanted = [...everything, ...six].flatMap((field) => [field, `${name}.${field}`])
      expect([ref, fields(ref, document, wanted)]).toEqual([ref, name === 'identity-card' ? ['matched'] : six])
    }
  }
})
