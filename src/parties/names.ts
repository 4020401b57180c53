/** Names as they are compared: width, case and blanks do not make another name. */
export const plainName = (name: string): string => name.normalize('NFKC').replaceAll(/\s/gu, '').toLowerCase()
