/**
 * Shows the confirmation of a deletion in a dialog. Without this script, the confirmation is a separate page
 * with the same form.
 */

export function watchDialog() {
  const dialog = document.querySelector('dialog#dialog')
  if (!(dialog instanceof HTMLDialogElement)) return
  document.body.addEventListener('htmx:afterSwap', (event) => {
    if (event.target === dialog && dialog.childElementCount && !dialog.open) dialog.showModal()
  })
  dialog.addEventListener('click', (event) => {
    const isBackdrop = event.target === dialog
    const isCancel = event.target instanceof Element && event.target.closest('[data-close]')
    if (!isBackdrop && !isCancel) return
    event.preventDefault()
    dialog.close()
  })
  dialog.addEventListener('close', () => dialog.replaceChildren())
}
