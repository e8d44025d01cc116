/** The image format that a format byte stands for, and its MIME type. Pure; imports only errors. */
import { PixstoreError } from './errors.js'

/** The formats whose MIME type is not simply `image/<format>`. JPEG has several file extensions but one MIME type. */
const MIME_SUBTYPES = new Map(Object.entries({
  jpg: 'jpeg',
  jfif: 'jpeg',
  pjpeg: 'jpeg',
  pjp: 'jpeg',
  tif: 'tiff',
  ico: 'x-icon',
  cur: 'x-icon',
}))

/**
 * Whether images of this format may be shown. SVG may not: opened on its own, it can run scripts with the rights of the
 * page.
 * @param {unknown} format
 */
export function isImageFormat(format) {
  return typeof format === 'string' && /^[a-z0-9]{2,8}$/.test(format) && format !== 'svg'
}

/**
 * @param {number} formatByte  1-based position in `imageFormats`
 * @param {readonly string[]} imageFormats
 * @throws {PixstoreError} code 'unreadable'
 */
export function mimeType(formatByte, imageFormats) {
  const format = imageFormats[formatByte - 1]
  if (!format) {
    throw new PixstoreError(`The picture has format number ${formatByte}, which imageFormats does not list.`, 'unreadable')
  }
  return `image/${MIME_SUBTYPES.get(format) ?? format}`
}
