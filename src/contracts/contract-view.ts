import { canonicalJson, sha256Digest } from '#kernel/canonical.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { Contract } from './contract.ts'
import { privacyIndex } from './privacy.ts'

/** A contract as others may read it: everything that it says, its expressions as ids, its personal fields by name. */
export function contractView(contract: Contract): JsonObject {
  const { schemaDocument, rules, answers, ...said } = contract
  const view = {
    ...said,
    schemaDigest: sha256Digest(canonicalJson(schemaDocument)),
    rules: rules.map(({ judge: _judge, reads: _reads, ...rule }) => rule),
    ...(answers === undefined ? {} : { answers: { ...answers, parts: answers.parts.map(partView) } }),
    privacy: privacyIndex(contract),
  }
  // Everything compiled is left out above, so what is left came from YAML and is JSON.
  return view as unknown as JsonObject
}

type Part = NonNullable<Contract['answers']>['parts'][number]

const partView = ({ where, conditions, computed, ...part }: Part) => ({
  ...part,
  isFiltered: where !== undefined,
  conditions: conditions.map(({ id }) => id),
  computed: computed.map(({ name }) => name),
})
