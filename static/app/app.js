/**
 * What the gallery's pages do beyond links and forms. Everything works without this file but showing the pictures.
 *
 * The browser module configures itself from <meta name="pixstore">; htmx sends the forms that carry hx-… attributes.
 */
import { clearCache } from '../pixstore/index.js'
import { watchDialog } from './dialog.js'
import { keepFocus } from './focus.js'
import { watchDeletions } from './forget.js'
import { refreshKeptPages } from './kept.js'
import { watchReplies } from './replies.js'
import { showStorage } from './storage.js'
import { enhanceUpload } from './upload.js'
import { watchViewer } from './viewer.js'

const settings = JSON.parse(document.querySelector('meta[name="pixstore"]')?.getAttribute('content') ?? '{}')

// Nobody is logged in (any more): nothing of anybody's pictures stays in this browser.
if (!settings.cacheOwner) clearCache()

refreshKeptPages()
watchReplies()
watchDialog()
watchDeletions()
watchViewer()
keepFocus()

const form = document.querySelector('form#upload')
if (form instanceof HTMLFormElement) enhanceUpload(form)

const panel = document.getElementById('pixstore-storage')
if (panel) showStorage(panel)
