// Lives outside Streamlit's tree, once per browser tab: if the page is empty, it says so and offers to reload.
// Streamlit calls the default export again whenever the page is drawn, and at every change of theme.

const LOOK_MS = 500
const EMPTY_MS = 3000 // the server has finished, and the browser has had the time to draw
const BUSY_MS = 30000 // the server is still at it

const frame = (window.__v3labFrame ??= { colours: {}, timer: null })
let emptySince = null
let notice = null

function isEmpty(app) {
  const main = app?.querySelector('[data-testid="stMainBlockContainer"]')
  return !main || main.innerText.trim() === ""
}

function look() {
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
  words.textContent = "This page could not be displayed. Runs are not affected: they train in separate processes."
  const button = document.createElement("button")
  button.textContent = "Reload"
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

export default function ({ parentElement }) {
  const style = getComputedStyle(parentElement.host ?? parentElement)
  const named = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise
  frame.colours = {
    text: named("--st-text-color", "#18222c"),
    background: named("--st-background-color", "#ffffff"),
    primary: named("--st-primary-color", "#0f766e"),
    font: named("--st-font", "sans-serif"),
  }
  frame.timer ??= setInterval(look, LOOK_MS)
}
