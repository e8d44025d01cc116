/** The page of one picture: download, and the arrow keys. */
import { getImage } from '../pixstore/index.js'

/** @type {Record<string, string>} */
const EXTENSIONS = { 'image/jpeg': 'jpg', 'image/tiff': 'tif' }

/** @type {Record<string, string>} */
const LINKS = { ArrowLeft: '.beside .newer', ArrowRight: '.beside .older' }

export function watchViewer() {
  showDownload(document)
  document.body.addEventListener('htmx:load', (event) => {
    if (event.target instanceof Element) showDownload(event.target)
  })
  document.addEventListener('click', (event) => {
    const button = event.target instanceof Element ? event.target.closest('[data-download]') : null
    if (button instanceof HTMLButtonElement) download(button)
  })
  document.addEventListener('keydown', turnPage)
}

/**
 * Shows the download button. It does not work without this script, so the page hides it at first.
 * @param {ParentNode} part
 */
function showDownload(part) {
  for (const button of part.querySelectorAll('[data-download]')) button.removeAttribute('hidden')
}

/** @param {HTMLButtonElement} button */
async function download(button) {
  const image = document.querySelector('.stage pixstore-image')
  if (!image) return
  button.disabled = true
  const blob = await getImage({
    id: image.getAttribute('image-id') ?? '',
    token: Number(image.getAttribute('token')),
    statelessProof: image.getAttribute('proof') ?? '',
  })
  button.disabled = false
  if (blob) save(blob, `${button.dataset.download}.${extensionOf(blob)}`)
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function save(blob, name) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  // The browser begins to read the file after the click; a minute later it has long begun.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

/** @param {Blob} blob */
function extensionOf(blob) {
  return EXTENSIONS[blob.type] ?? blob.type.replace('image/', '')
}

/** @param {KeyboardEvent} event */
function turnPage(event) {
  const isTyping = event.target instanceof Element && event.target.closest('input, select, textarea, dialog')
  const selector = LINKS[event.key]
  if (!selector || isTyping || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return
  const link = document.querySelector(selector)
  if (link instanceof HTMLAnchorElement) link.click()
}
