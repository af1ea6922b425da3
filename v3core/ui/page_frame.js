// Lives outside Streamlit's tree, once per browser tab: if the page is empty, it says so and offers to reload. And the
// keyboard shortcuts of shortcuts.py: their sheet, and those that go to a page or to a field; the others are of the
// elements that they act on.
// Streamlit calls the default export again whenever the page is drawn, and at every change of theme.

const LOOK_MS = 500
const EMPTY_MS = 3000 // the server has finished, and the browser has had the time to draw
const BUSY_MS = 30000 // the server is still at it

const SECOND_KEY_MS = 1500
const FIELD_MS = 2000
const TYPES = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], [role=combobox]"

const frame = (window.__v3labFrame ??= { colours: {}, timer: null, shortcuts: [], listens: false, tab: null })
let emptySince = null
let notice = null

function isEmpty(app) {
  const main = app?.querySelector('[data-testid="stMainBlockContainer"]')
  return !main || main.innerText.trim() === ""
}

function look() {
  keepLanguageOfAddress()
  const app = document.querySelector('[data-testid="stApp"]')
  const connected = !app || app.dataset.testConnectionState === "CONNECTED" // else Streamlit says what is wrong
  if (!connected || !isEmpty(app)) {
    emptySince = null
    notice?.remove()
    notice = null
    return
  }
  emptySince ??= performance.now()
  const patience = app?.dataset.testScriptState === "running" ? BUSY_MS : EMPTY_MS
  if (notice === null && performance.now() - emptySince > patience) say()
}

function say() {
  notice = document.createElement("div")
  notice.id = "v3-undrawn"
  notice.setAttribute("role", "alert")
  Object.assign(notice.style, {
    position: "fixed",
    inset: "0",
    zIndex: "1000000",
    display: "flex",
    flexDirection: "column",
    gap: "1rem",
    alignItems: "center",
    justifyContent: "center",
    padding: "1rem",
    textAlign: "center",
    font: `1rem ${frame.colours.font}`,
    color: frame.colours.text,
    background: frame.colours.background,
  })
  const words = document.createElement("p")
  words.textContent = frame.words.not_displayed
  const button = document.createElement("button")
  button.textContent = frame.words.reload
  Object.assign(button.style, {
    font: "inherit",
    padding: "0.5rem 1.5rem",
    border: "0",
    borderRadius: "8px",
    cursor: "pointer",
    color: "#ffffff",
    background: frame.colours.primary,
  })
  button.onclick = () => window.location.reload()
  notice.append(words, button)
  document.body.append(notice)
  button.focus()
}

const element = (name, text = "", ...children) => {
  const made = document.createElement(name)
  made.append(text, ...children)
  return made
}

function sheet() {
  const open = document.querySelector("#v3-shortcuts[open]") // a closed one is removed a moment later
  if (open) return open.close()
  const dialog = element("dialog", "", element("h2", frame.words.shortcuts))
  dialog.id = "v3-shortcuts"
  dialog.setAttribute("aria-label", frame.words.shortcuts)
  dialog.style.cssText = `color: ${frame.colours.text}; background: ${frame.colours.background}; font-family: ${frame.colours.font}`
  for (const where of new Set(frame.shortcuts.map((shortcut) => shortcut.where))) {
    const list = element("dl")
    for (const { keys, meaning } of frame.shortcuts.filter((shortcut) => shortcut.where === where)) {
      const pressed = keys.split(" ").flatMap((key, place) => [...(place ? [" "] : []), element("kbd", key)])
      list.append(element("dt", "", ...pressed), element("dd", meaning))
    }
    dialog.append(element("h3", where), list)
  }
  const close = element("button", frame.words.close)
  close.onclick = () => dialog.close()
  dialog.append(close)
  dialog.onclose = () => dialog.remove()
  document.body.append(dialog)
  dialog.showModal()
}

// On a page that has just been opened, a field may be drawn a moment after the rest.
function toField(name, until) {
  const field = document.querySelector(`[data-testid="stMain"] input[aria-label="${CSS.escape(name)}"]`)
  if (field) field.focus()
  else if (performance.now() < until) setTimeout(toField, 50, name, until)
  return true
}

const pageLinks = () => [...document.querySelectorAll('[data-testid="stSidebar"] a[href]')]
// The attribute: that of Runs is empty, which as an address is the page that is open.
const pageOf = (link) => `/${link.getAttribute("href").split("/").pop()}`

function isOn(page) {
  const last = `/${window.location.pathname.split("/").pop()}`
  const here = pageLinks().some((link) => pageOf(link) === last) ? last : "/" // which may be below a path of a proxy
  return here === page
}

function follow({ page, focus, on }) {
  if (focus) return on.some(isOn) && toField(focus, performance.now() + FIELD_MS)
  const found = pageLinks().find((link) => pageOf(link) === page)
  found?.click()
  return Boolean(found)
}

// A link to another page goes there as "forward" does, with one entry in the history. Streamlit's own way first adds one
// of the page that is left without its parameters, so that "back" leads to another run, or to no zoom.
function followLink(event) {
  const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey
  const link = isPlain && event.target.closest?.('[data-testid="stPageLink"] a[href], a.v3-page-link')
  if (!link) return
  const pages = [...document.querySelectorAll('[data-testid="stSidebar"] [data-testid="stPageLink"] a[href]')].map(nameOf)
  const { pathname, origin } = window.location
  const here = pathname.split("/").pop()
  const base = here && pages.includes(here) ? pathname.slice(0, -here.length) : pathname.replace(/\/?$/, "/")
  const name = nameOf(link)
  if (!pages.includes(name)) return // an address outside the dashboard
  const query = link.getAttribute("href").split("?")[1] ?? ""
  const url = inLanguage(new URL(`${base}${name}${query && "?"}${query}`, origin))
  event.preventDefault()
  event.stopImmediatePropagation()
  window.history.pushState({}, "", url)
  window.dispatchEvent(new PopStateEvent("popstate", { state: {} }))
}

// The last part of a page's address; that of Runs is empty.
function nameOf(link) {
  return link.getAttribute("href").split("?")[0].split("/").pop()
}

let first = { key: "", at: -Infinity }

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return
  if (event.composedPath()[0].closest?.(TYPES)) return
  const before = performance.now() - first.at < SECOND_KEY_MS ? first.key : ""
  first = { key: event.key, at: performance.now() }
  const isOpen = document.querySelector("#v3-shortcuts[open]")
  let done = false
  if (event.key === "?") {
    sheet()
    done = true
  } else if (!isOpen && !document.querySelector("[role=dialog]")) {
    const shortcut = frame.shortcuts.find(
      ({ keys, page, focus }) => (page || focus) && keys === (page ? `${before} ${event.key}` : event.key),
    )
    done = Boolean(shortcut) && follow(shortcut)
  }
  if (!done) return
  event.preventDefault()
  event.stopImmediatePropagation() // Streamlit has shortcuts of its own for single letters
}

// A tab that nobody looks at does not tick on the server.
function sayHidden() {
  const { name, address } = frame.tab
  const body = JSON.stringify({ tab: name, hidden: document.hidden })
  fetch(address, { method: "POST", body, keepalive: true }).catch(() => {}) // it then ticks as if it were shown
}

export default function ({ data, parentElement, setTriggerValue }) {
  const style = getComputedStyle(parentElement.host ?? parentElement)
  const named = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise
  frame.colours = {
    text: named("--st-text-color", "#101820"),
    background: named("--st-background-color", "#ffffff"),
    primary: named("--st-primary-color", "#0f766e"),
    font: named("--st-font", "sans-serif"),
  }
  frame.timer ??= setInterval(look, LOOK_MS)
  if (!frame.tab) document.addEventListener("visibilitychange", sayHidden)
  const isNew = frame.tab?.name !== data.tab.name
  frame.tab = data.tab
  if (isNew && document.hidden) sayHidden()
  frame.shortcuts = data.shortcuts
  frame.words = data.words
  frame.language = data.language
  offerLanguages(parentElement.querySelector(".v3-languages"), data.language, setTriggerValue)
  const button = parentElement.querySelector(".v3-shortcuts")
  button.replaceChildren(`${data.words.shortcuts} `, element("kbd", "?"))
  button.onclick = sheet
  if (!frame.listens) {
    window.addEventListener("keydown", pressed, { capture: true })
    window.addEventListener("click", followLink, { capture: true })
  }
  frame.listens = true
  toSection()
}
