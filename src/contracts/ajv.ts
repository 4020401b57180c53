import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { FORMAT_CHECKS, STANDARD_CHECKS } from './formats.ts'

/** Our annotation keywords: English texts, the standard a property comes from, privacy class, code meanings. */
export const ANNOTATIONS = ['x-en', 'x-source', 'x-privacy', 'x-codes'] as const

/**
 * A strict 2020-12 compiler that knows our formats and annotations. `ownProperties` keeps members inherited from
 * a prototype out of the judgement. `allErrors` is for explaining what already failed: schemas are bounded.
 */
export function createAjv(options: {
  allErrors: boolean
  useDefaults?: boolean
  validateSchema?: boolean
  /** Unknown keywords and formats are annotations: for schemas that are not ours. */
  lenient?: boolean
}): Ajv2020 {
  const ajv = new Ajv2020({
    strict: options.lenient !== true,
    // A condition's `then: {required}` names members that its parent defines.
    strictRequired: false,
    ownProperties: true,
    allErrors: options.allErrors,
    useDefaults: options.useDefaults ?? false,
    validateSchema: options.validateSchema ?? false,
    messages: false,
    logger: false,
  })
  addFormats.default(ajv)
  for (const [name, validate] of Object.entries(STANDARD_CHECKS)) ajv.addFormat(name, { type: 'string', validate })
  for (const [name, check] of Object.entries(FORMAT_CHECKS)) {
    ajv.addFormat(name, { type: 'string', validate: (value: string) => check(value) === undefined })
  }
  ajv.addVocabulary([...ANNOTATIONS])
  return ajv
}
