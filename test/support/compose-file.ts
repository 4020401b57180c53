import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CORE_SCHEMA, load, mergeTag } from 'js-yaml'
import { PROJECT_ROOT } from '#compose.ts'

export interface ComposeService {
  readonly image: string
  readonly build?: { readonly dockerfile_inline: string }
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string | number>>
  readonly secrets?: readonly string[]
  readonly restart?: string
  readonly stop_grace_period?: string
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean }
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly deploy?: { readonly replicas: number }
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>
  readonly secrets: Readonly<Record<string, { readonly file: string }>>
}

/** `docker-compose.yml` with its merge keys resolved. */
export const readComposeFile = (): ComposeFile =>
  load(readFileSync(join(PROJECT_ROOT, 'docker-compose.yml'), 'utf8'), {
    schema: CORE_SCHEMA.withTags(mergeTag),
  }) as ComposeFile

/** The services that run this program. */
export const ownServices = ({ services }: ComposeFile): readonly (readonly [string, ComposeService])[] =>
  Object.entries(services).filter(([, { image }]) => image.startsWith('dianqiao:'))

/** The roles of a service that stays, undefined for another. */
export function rolesOf({ command = [] }: ComposeService): readonly string[] | undefined {
  const at = command.indexOf('--roles')
  return command[0] === 'start' && at > 0 ? command[at + 1]?.split(',') : undefined
}
