import { join } from 'node:path'

/** Saves processes of the tests a quarter of each start (Node's CLI, NODE_COMPILE_CACHE); written by those that end in peace. */
export const NODE_COMPILE_CACHE = join(import.meta.dirname, '../../node_modules/.cache/compile')
