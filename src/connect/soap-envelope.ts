import type { Json, JsonObject } from '#kernel/json.ts'
import type { SoapManifest } from './manifest.ts'
import { parseXml, type XmlElement, xmlToJson } from './xml.ts'
import { buildXml } from './xml-build.ts'

const SOAP_1_1 = 'http://schemas.xmlsoap.org/soap/envelope/'
const inEnvelope = (name: string): string => `{${SOAP_1_1}}${name}`

/** What stands in the body of an answer: the content of its first element, or a Fault. */
export type SoapAnswer =
  | { readonly kind: 'body'; readonly body: Json }
  /** `fault` is the whole Fault element as JSON: faultcode, faultstring, detail. */
  | { readonly kind: 'fault'; readonly code: string; readonly fault: Json }

/** A SOAP 1.1 envelope with one operation (document/literal), its members in the order given. Throws `mapping.failed`. */
export function buildEnvelope(
  { namespace, elements }: SoapManifest['soap'],
  operation: string,
  content: JsonObject,
): string {
  const body =
    elements === 'qualified'
      ? { [operation]: { ...content, '@xmlns': namespace } }
      : { [`m:${operation}`]: { ...content, '@xmlns:m': namespace } }
  return buildXml('soapenv:Envelope', { '@xmlns:soapenv': SOAP_1_1, 'soapenv:Body': body })
}

/** Undefined for what is no SOAP 1.1 envelope: then it is not the peer's own answer. */
export function readEnvelope(text: string): SoapAnswer | undefined {
  const envelope = parseXml(text)
  if (envelope?.name !== inEnvelope('Envelope')) return undefined
  const body = envelope.children.find(({ name }) => name === inEnvelope('Body'))
  if (body === undefined) return undefined
  const [first] = body.children
  if (first?.name !== inEnvelope('Fault')) return { kind: 'body', body: first === undefined ? '' : xmlToJson(first) }
  return { kind: 'fault', code: textOf(first, 'faultcode'), fault: xmlToJson(first) }
}

const textOf = ({ children }: XmlElement, name: string): string =>
  children.find((child) => child.name === name)?.text.trim() ?? ''
