/**
 * Everything that the gallery's pages do beyond links and forms. Without this file, all of the gallery works,
 * but no picture is shown.
 *
 * The browser module configures itself from <meta name="pixstore">; htmx sends the forms that have hx-… attributes.
 */
import { clearCache } from '../pixstore/index.js'
import { reloadPagesFromBfcache } from './bfcache.js'
import { watchDialog } from './dialog.js'
import { keepFocus } from './focus.js'
import { forgetDeletedImages } from './forget.js'
import { watchHtmxEvents } from './htmx-events.js'
import { keepRetryFromFollowingLinks } from './retry.js'
import { showStorage } from './storage.js'
import { enhanceUpload } from './upload.js'
import { watchViewer } from './viewer.js'

const settings = JSON.parse(document.querySelector('meta[name="pixstore"]')?.getAttribute('content') ?? '{}')

// If nobody is logged in, no picture may stay in this browser.
if (!settings.cacheOwner) clearCache()

reloadPagesFromBfcache()
watchHtmxEvents()
watchDialog()
forgetDeletedImages()
watchViewer()
keepRetryFromFollowingLinks()
keepFocus()

const form = document.querySelector('form#upload')
if (form instanceof HTMLFormElement) enhanceUpload(form)

const panel = document.getElementById('pixstore-storage')
if (panel) showStorage(panel)
