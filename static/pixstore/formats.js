/** Which image format a format byte means, and its MIME type. Pure; imports only errors. */
import { PixstoreError } from './errors.js'

/** Where the MIME type is not simply `image/<format>`. Every browser sends and takes JPEG under one name only. */
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
 * Whether images of this format may be shown. SVG may not: opened by itself, it is a program with the rights of the page.
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
