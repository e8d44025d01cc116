/**
 * Questions before something is deleted. Without this they are pages of their own; here the same form comes in a dialog.
 */

export function watchDialog() {
  const dialog = document.querySelector('dialog#dialog')
  if (!(dialog instanceof HTMLDialogElement)) return
  document.body.addEventListener('htmx:afterSwap', (event) => {
    if (event.target === dialog && dialog.childElementCount && !dialog.open) dialog.showModal()
  })
  dialog.addEventListener('click', (event) => {
    const isBackdrop = event.target === dialog
    const isRefusal = event.target instanceof Element && event.target.closest('[data-close]')
    if (!isBackdrop && !isRefusal) return
    event.preventDefault()
    dialog.close()
  })
  dialog.addEventListener('close', () => dialog.replaceChildren())
}
