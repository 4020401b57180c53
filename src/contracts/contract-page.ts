import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import type { Answers, Contract, Provider, ServiceLevel } from './contract.ts'
import type { Example } from './examples.ts'
import { privacyIndex } from './privacy.ts'
import { tagOf } from './privacy-tag.ts'
import { schemaFields } from './schema-fields.ts'

export const PAGE_LANGUAGES = ['zh', 'en'] as const
export type PageLanguage = (typeof PAGE_LANGUAGES)[number]

/** A page of the docs in Markdown, made from a contract, its schema and its valid examples alone. */
export function contractPage(contract: Contract, examples: readonly Example[], language: PageLanguage): string {
  const t = words(language)
  return page([
    `# ${contract.title[language]} \`${contract.ref}\``,
    contract.description[language],
    table([t('项目', 'Item'), t('值', 'Value')], facts(contract, language)),
    `## ${t('字段', 'Fields')}`,
    fieldTable(contract.schemaDocument, language),
    ...section(t('个人信息', 'Personal data'), privacyTable(contract, language)),
    ...section(t('规则', 'Rules'), ruleTable(contract, language)),
    ...(contract.answers === undefined ? [] : section(t('答复', 'Answers'), answerTable(contract.answers, language))),
    ...section(t('示例', 'Examples'), examples.map(exampleBlock).join('\n\n')),
  ])
}

/** The page of a schema alone: how the format of contracts itself is documented. */
export function schemaPage(schema: JsonObject, language: PageLanguage): string {
  const { title, description } = textsOf(schema, language)
  return page([`# ${title} \`${String(schema.$id ?? '')}\``, description, fieldTable(schema, language)])
}

/** The list of all pages. */
export function contractIndex(contracts: readonly Contract[], language: PageLanguage): string {
  const t = words(language)
  const rows = contracts.map(({ ref, kind, version, title, description }) => [
    `[\`${ref}\`](contracts/${ref}?lang=${language})`,
    cell(title[language]),
    kind,
    version,
    cell(description[language]),
  ])
  const head = [
    t('合同', 'Contract'),
    t('名称', 'Title'),
    t('种类', 'Kind'),
    t('版本', 'Version'),
    t('说明', 'What for'),
  ]
  return page([
    `# ${t('合同目录', 'Contracts')}`,
    table(head, rows),
    t(
      '合同文件的格式见 [合同格式](contract-format?lang=zh)。',
      'See the [format of contracts](contract-format?lang=en).',
    ),
  ])
}

const page = (blocks: readonly string[]): string => `${blocks.filter((block) => block !== '').join('\n\n')}\n`
const section = (title: string, body: string): string[] => (body === '' ? [] : [`## ${title}`, body])
const words =
  (language: PageLanguage) =>
  (zh: string, en: string): string =>
    language === 'zh' ? zh : en

/** Text in a cell of a table: nothing in it ends the cell, and nothing is taken for HTML. */
const cell = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('|', '\\|').replaceAll(/\s+/g, ' ')
const code = (text: string): string => `\`${text.replaceAll('|', '\\|').replaceAll('`', "'").replaceAll(/\s+/g, ' ')}\``

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return ''
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

const providerName = (provider: Provider): string =>
  Object.entries(provider)
    .map(([key, value]) => `${key} ${String(value)}`)
    .join(', ')

/** Everything the contract says about how it is exchanged; scalars as they stand in its file. */
function facts(contract: Contract, language: PageLanguage): string[][] {
  const t = words(language)
  const { legalBasis, dataset, files } = contract
  const rows: [string, string | undefined][] = [
    [t('种类', 'Kind'), contract.kind],
    [t('版本', 'Version'), contract.version],
    [t('责任方', 'Owner'), contract.owner],
    [t('提供方', 'Providers'), contract.providers.map(providerName).join('; ')],
    [t('模式', 'Schema'), contract.schema],
    [t('业务键', 'Business key'), contract.sub],
    [t('幂等', 'Idempotency'), idempotencyOf(contract, language)],
    [t('兼容方式', 'Compatibility'), contract.compatibility],
    [t('办件号', 'Case number'), contract.caseNo],
    [t('顺序键', 'Order key'), contract.orderKey],
    [
      t('关联编号', 'Aliases'),
      contract.aliases.map((one) => ('list' in one ? one.list : `${one.scheme} ${one.number}`)).join('; '),
    ],
    [
      t('接收方', 'Recipients'),
      contract.routing.map(({ to, ...at }) => [to, ...Object.values(at)].join(' ')).join('; '),
    ],
    [t('投递时限（秒）', 'Deliver by (s)'), String(contract.deliverBySeconds)],
    [t('死信时', 'On dead'), contract.onDead],
    [t('可乱序重放', 'Replay-safe'), contract.replaySafe ? t('是', 'yes') : t('否', 'no')],
    [t('最长时效（秒）', 'Max age (s)'), String(contract.maxAgeSeconds)],
    [t('令牌上限（字节）', 'Token cap (bytes)'), String(contract.maxBytes)],
    [t('最低来源', 'Least origin'), contract.minOrigin],
    [t('保存期类别', 'Retention class'), contract.retention],
    [t('服务指标', 'Service levels'), contract.sla.map(serviceLevel).join('; ')],
    [t('文件', 'Files'), files && `${files.pointers.join(', ')} ≤ ${files.maxBytes}: ${files.mediaTypes.join(', ')}`],
    [t('目录编码', 'Catalogue code'), dataset?.catalogueCode],
    [t('共享属性', 'Share type'), dataset?.shareType],
    [t('提供部门', 'Provider department'), dataset?.providerDepartment],
    [t('批准文件', 'Approval'), dataset?.approval && `${dataset.approval.no} → ${dataset.approval.until}`],
    [t('政策依据', 'Policy document'), legalBasis.policyDocument],
    [t('台账任务', 'Ledger tasks'), legalBasis.ledgerTasks.join(', ')],
  ]
  return rows.flatMap(([name, value]) => (value === undefined || value === '' ? [] : [[name, cell(value)]]))
}

function idempotencyOf({ ref, idempotency }: Contract, language: PageLanguage): string {
  if (idempotency?.by !== 'business-key') return 'jti'
  const how = `jti = base64url(SHA-256(["${ref}", sub, ${idempotency.revision}]))`
  return words(language)(
    `按业务键与修订号：${how}，JSON 按 RFC 8785`,
    `by business key and revision: ${how}, JSON as in RFC 8785`,
  )
}

const serviceLevel = ({ metric, quantile, atMost }: ServiceLevel): string =>
  `${metric}${quantile === undefined ? '' : ` p${quantile * 100}`} ≤ ${atMost}`

function fieldTable(schema: JsonObject, language: PageLanguage): string {
  const t = words(language)
  const head = [
    t('字段', 'Field'),
    t('名称', 'Name'),
    t('类型', 'Type'),
    t('必填', 'Required'),
    t('隐私', 'Privacy'),
    t('说明', 'Description'),
  ]
  const rows = schemaFields(schema)
    .filter(({ pointer }) => pointer !== '')
    .map(({ pointer, schema: field, isRequired }) => {
      const { title, description } = textsOf(field, language)
      const source = field['x-source']
      const from = typeof source === 'string' ? t(`（来源：${source}）`, ` (source: ${source})`) : ''
      const codes = codesOf(field, language)
      return [
        code(pointer),
        cell(title),
        typeOf(field),
        isRequired ? '●' : '',
        tagOf(field)?.class ?? '',
        cell(description + codes + from),
      ]
    })
  return table(head, rows)
}

function textsOf(schema: JsonObject, language: PageLanguage): { readonly title: string; readonly description: string } {
  const texts = language === 'zh' ? schema : schema['x-en']
  const read = (name: string): string => {
    const value = isJsonObject(texts) ? texts[name] : undefined
    return typeof value === 'string' ? value : ''
  }
  return { title: read('title'), description: read('description') }
}

/** What the codes of a field mean. */
function codesOf(schema: JsonObject, language: PageLanguage): string {
  const codes = schema['x-codes']
  if (!isJsonObject(codes)) return ''
  const meanings = Object.entries(codes).flatMap(([value, texts]) => {
    const text = isJsonObject(texts) ? texts[language] : undefined
    return typeof text === 'string' ? [`${value} ${text}`] : []
  })
  return meanings.length === 0
    ? ''
    : ` ${meanings.join(language === 'zh' ? '；' : '; ')}${language === 'zh' ? '。' : '.'}`
}

const BOUNDS = [
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'minItems',
  'maxItems',
]

function typeOf(schema: JsonObject): string {
  const { type, format, pattern, default: preset } = schema
  const values = Array.isArray(schema.enum) ? (schema.enum as Json[]) : schema.const === undefined ? [] : [schema.const]
  const parts = [
    String(type ?? ''),
    typeof format === 'string' ? format : '',
    ...values.map((value) => code(JSON.stringify(value))),
    typeof pattern === 'string' ? code(pattern) : '',
    ...BOUNDS.flatMap((bound) => (schema[bound] === undefined ? [] : [`${bound} ${String(schema[bound])}`])),
    preset === undefined ? '' : `default ${code(JSON.stringify(preset))}`,
  ]
  return parts.filter((part) => part !== '').join(' ')
}

function privacyTable(contract: Contract, language: PageLanguage): string {
  const t = words(language)
  const head = [
    t('字段', 'Field'),
    t('类别', 'Class'),
    t('脱敏', 'Mask'),
    t('法律依据', 'Legal basis'),
    t('保存期类别', 'Retention class'),
  ]
  const rows = privacyIndex(contract).map((one) => [
    code(one.pointer),
    one.class,
    one.mask,
    cell(one.legalBasis),
    one.retention,
  ])
  return table(head, rows)
}

function ruleTable({ rules }: Contract, language: PageLanguage): string {
  const t = words(language)
  const head = [
    t('规则', 'Rule'),
    t('级别', 'Severity'),
    t('阶段', 'Stage'),
    t('字段', 'Field'),
    t('前提', 'Guard'),
    t('表达式', 'Expression'),
    t('提示', 'Said when broken'),
  ]
  const rows = rules.map((rule) => [
    code(rule.code === undefined ? rule.id : `${rule.id} (${rule.code})`),
    rule.severity,
    rule.stage,
    code(rule.pointer),
    rule.guard === undefined ? '' : code(rule.guard),
    code(rule.expression),
    cell(rule.message[language]),
  ])
  return table(head, rows)
}

function answerTable({ parts, purposes, legalBases }: Answers, language: PageLanguage): string {
  const t = words(language)
  const head = [
    t('证照', 'Document'),
    t('来源', 'Source'),
    t('返回', 'Gives'),
    t('字段', 'Fields'),
    t('条件', 'Conditions'),
  ]
  const rows = parts.map((part) => [
    code(part.document),
    part.source,
    part.gives,
    part.fields.map(code).join(', '),
    part.conditions.map(({ id }) => code(id)).join(', '),
  ])
  const uses = [
    `${t('用途', 'Purposes')}: ${purposes.join(', ')}`,
    `${t('法律依据', 'Legal bases')}: ${legalBases.join(', ')}`,
  ]
  return [table(head, rows), ...uses].join('\n\n')
}

const exampleBlock = ({ name, data }: Example): string =>
  `### ${name}\n\n\`\`\`json\n${JSON.stringify(data, null, 2)}\n\`\`\``
