import type { Violation } from '#kernel/errors.ts'
import { ORIGINS } from '#kernel/origin.ts'
import type { Contract } from './contract.ts'
import type { ContractFile } from './contract-file.ts'
import { fileFault } from './schema-files.ts'

/**
 * What only the whole set shows of an initial load: it opens no way that its rows' own contract does not open, so the
 * same providers at most, no weaker origin, and nothing less protected.
 */
export function rowFaults(
  file: string,
  source: ContractFile,
  contracts: ReadonlyMap<string, Contract>,
): readonly Violation[] {
  if (source.rows === undefined) return []
  const own = contracts.get(source.rows.contract)
  if (own?.document === undefined) {
    const en = 'there is no contract of kind document with this name'
    return [fileFault(file, '/rows/contract', 'rows', '没有这个证照类（document）合同', en)]
  }
  const faults: Violation[] = []
  const allowed = new Set(own.providers.map((provider) => JSON.stringify(provider)))
  if (source.providers.some((provider) => !allowed.has(JSON.stringify(provider)))) {
    const en = 'only providers of the contract of its rows may send a load'
    faults.push(fileFault(file, '/providers', 'rows', '只有行合同的提供方可以批量装载', en))
  }
  if (ORIGINS.indexOf(source.minOrigin) < ORIGINS.indexOf(own.minOrigin)) {
    const en = 'must be as strict as the contract of its rows'
    faults.push(fileFault(file, '/minOrigin', 'rows', '不得低于行合同的来源要求', en))
  }
  if (own.personal && contracts.get(`${source.name}@${source.version.split('.')[0]}`)?.personal === false) {
    const en = 'its rows are personal, so its schema must mark them with x-privacy'
    faults.push(fileFault(file, '/schema', 'rows', '行数据涉及个人信息，模式须以 x-privacy 标明', en))
  }
  if (source.routing.some(({ to }) => to !== 'none')) {
    const en = 'a load holds rows that may be refused, so it goes to nobody'
    faults.push(fileFault(file, '/routing', 'rows', '装载报文可能含被退回的行，不向任何方投递', en))
  }
  return faults
}
